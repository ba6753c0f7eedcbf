//! Transitions on their way to the hooks: after the fact, in order, at least once while there is
//! room, and never in the way of the engine.

mod queue;
mod sender;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mainstay_core::event::Transition;
use mainstay_protocol::{Event, EventPayload, RouterTransition};

pub(crate) use queue::Fate;
use queue::Queue;
pub(crate) use sender::{Happened, TransitionSender, channel};

/// Bytes of a cause that a hook is told; the rest is in the log.
const CAUSE_LIMIT: usize = 1024;

/// A hook, and what it wants to hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subscription {
    /// Name of the hook in the worker's load.
    pub(crate) hook: String,
    /// Names of the routers; `None` for all.
    pub(crate) routers: Option<BTreeSet<String>>,
    /// For how long an event is tried, from the first try.
    pub(crate) deadline: Duration,
}

/// The queues of all hooks.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    subscriptions: Vec<Subscription>,
    /// By hook and source.
    queues: BTreeMap<(String, String), Queue>,
}

impl Hooks {
    /// From now on these. What waits for a hook that is among them still waits.
    pub(crate) fn subscribe(&mut self, subscriptions: Vec<Subscription>) {
        self.queues.retain(|(hook, _), queue| {
            let subscription = subscriptions.iter().find(|other| other.hook == *hook);
            if let Some(subscription) = subscription {
                queue.set_deadline(subscription.deadline);
            }
            subscription.is_some()
        });
        self.subscriptions = subscriptions;
    }

    /// Puts a transition into the queue of every hook that wants it.
    pub(crate) fn accept(&mut self, happened: &Happened, now: Instant) {
        for subscription in &self.subscriptions {
            let transition = &happened.transition;
            let wanted = subscription.routers.as_ref();
            if wanted.is_some_and(|routers| !routers.contains(&transition.router)) {
                continue;
            }
            let event = event(transition, happened.coalesced);
            self.queues
                .entry((subscription.hook.clone(), event.source.clone()))
                .or_insert_with(|| Queue::new(subscription.deadline))
                .push(event, now);
        }
    }

    /// What is to be sent now to the hooks that the worker `serves`, each with the hook's name.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        serves: impl Fn(&str) -> bool,
    ) -> Vec<(String, Event)> {
        let queues = self.queues.iter_mut();
        queues
            .filter(|((hook, _), _)| serves(hook))
            .filter_map(|((hook, _), queue)| Some((hook.clone(), queue.due(now)?)))
            .collect()
    }

    /// When [`Self::due`] has something to say without anything else happening.
    pub(crate) fn next_wake(&self, now: Instant, serves: impl Fn(&str) -> bool) -> Option<Instant> {
        let queues = self.queues.iter().filter(|((hook, _), _)| serves(hook));
        queues.filter_map(|(_, queue)| queue.next_wake(now)).min()
    }

    /// The worker answered for an event of this hook.
    pub(crate) fn answered(
        &mut self,
        hook: &str,
        source: &str,
        sequence: u64,
        delivered: bool,
        now: Instant,
    ) -> Fate {
        let key = (hook.to_owned(), source.to_owned());
        let Some(queue) = self.queues.get_mut(&key) else {
            return Fate::Unknown;
        };
        let fate = queue.answered(sequence, delivered, now);
        if queue.len() == 0 {
            self.queues.remove(&key);
        }
        fate
    }

    /// The worker is gone, because it `died` or because another took its place. Answers with the
    /// hooks that lost an event for good by it.
    pub(crate) fn worker_gone(&mut self, died: bool, now: Instant) -> Vec<String> {
        let mut lost = Vec::new();
        for ((hook, _), queue) in &mut self.queues {
            if queue.worker_gone(died, now) == Fate::GivenUp {
                lost.push(hook.clone());
            }
        }
        self.queues.retain(|_, queue| queue.len() > 0);
        lost
    }

    /// Since when the worker has an event that it has not answered.
    pub(crate) fn under_way(&self) -> Option<Instant> {
        self.queues.values().filter_map(Queue::under_way).min()
    }

    /// Whether everything is delivered or given up.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}

/// A transition as the contract with plugins has it. The state `initialize` that a router ends in
/// is `stopped` there.
fn event(transition: &Transition, coalesced: bool) -> Event {
    let mut cause = transition.why();
    cause.truncate(cause.floor_char_boundary(CAUSE_LIMIT));
    Event {
        sequence: transition.sequence,
        source: format!("router/{}/{}", transition.router, transition.family),
        at_unix_ms: transition.at_unix_ms.0,
        queued_ms: 0,
        coalesced,
        payload: EventPayload::Router(RouterTransition {
            router: transition.router.clone(),
            family: transition.family.to_string(),
            interface: transition.interface.clone(),
            id: transition.id,
            from: transition.from.to_string(),
            to: after(transition),
            priority: transition.priority,
            addresses: transition
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect(),
            cause,
        }),
    }
}

fn after(transition: &Transition) -> String {
    use mainstay_core::event::{Cause, RouterState};
    let ended = transition
        .causes
        .iter()
        .any(|cause| matches!(cause, Cause::Stop | Cause::Removed));
    match transition.to {
        RouterState::Initialize if ended => "stopped".to_owned(),
        state => state.to_string(),
    }
}

#[cfg(test)]
mod tests;
