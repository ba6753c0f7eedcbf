//! Events on their way to the hooks: after the fact, in order, at least once while there is room, and
//! never in the way of the engine.

mod event;
mod queue;
mod sender;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mainstay_core::time::Realtime;
use mainstay_protocol::{DaemonPhase, Event};

pub(crate) use event::Kind;
pub(crate) use queue::Fate;
use queue::Queue;
pub(crate) use sender::{EventSender, channel};

/// Events that one hook has in the worker at a time; those of other sources wait here. The worker
/// makes two calls of hooks at a time.
const UNDER_WAY: usize = 2;

/// A hook, and what it wants to hear of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Subscription {
    /// Name of the hook in the worker's load.
    pub(crate) hook: String,
    /// What it hears of.
    pub(crate) kinds: BTreeSet<Kind>,
    /// For how long an event is tried, from the first try.
    pub(crate) deadline: Duration,
}

/// The queues of all hooks.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    subscriptions: Vec<Subscription>,
    /// By hook and source; none is empty.
    queues: BTreeMap<(String, String), Queue>,
    /// Events of the daemon itself so far.
    phases: u64,
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

    /// Puts an event into the queue of every hook that wants it.
    pub(crate) fn accept(&mut self, event: &Event, now: Instant) {
        let kind = Kind::of(event);
        for subscription in &self.subscriptions {
            if subscription.kinds.contains(&kind) {
                self.queues
                    .entry((subscription.hook.clone(), event.source.clone()))
                    .or_insert_with(|| Queue::new(subscription.deadline))
                    .push(event.clone(), now);
            }
        }
    }

    /// As [`Self::accept`], for something of the daemon itself.
    pub(crate) fn announce(&mut self, phase: DaemonPhase, at: Realtime, now: Instant) {
        self.phases += 1;
        self.accept(&event::of_daemon(phase, self.phases, at), now);
    }

    /// What is to be sent now to the hooks that the worker `serves`, each with the hook's name. Of
    /// the sources of a hook those come first whose events wait for the longest.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        serves: impl Fn(&str) -> bool,
    ) -> Vec<(String, Event)> {
        self.queues.retain(|_, queue| {
            queue.expire(now);
            queue.len() > 0
        });
        let mut room = Room::default();
        let mut ready = Vec::new();
        for ((hook, _), queue) in &mut self.queues {
            if !serves(hook) {
                continue;
            }
            if queue.under_way().is_some() {
                room.take(hook);
            } else if queue.next_wake(now).is_some_and(|wake| wake <= now) {
                ready.push((queue.waiting_since(), hook, queue));
            }
        }
        ready.sort_by_key(|(since, ..)| *since);
        let mut due = Vec::new();
        for (_, hook, queue) in ready {
            if room.has(hook)
                && let Some(event) = queue.due(now)
            {
                room.take(hook);
                due.push((hook.clone(), event));
            }
        }
        due
    }

    /// When [`Self::due`] has something to say without anything else happening.
    pub(crate) fn next_wake(&self, now: Instant, serves: impl Fn(&str) -> bool) -> Option<Instant> {
        let mut room = Room::default();
        let served = || self.queues.iter().filter(|((hook, _), _)| serves(hook));
        for ((hook, _), queue) in served() {
            if queue.under_way().is_some() {
                room.take(hook);
            }
        }
        served()
            .filter(|((hook, _), queue)| room.has(hook) || queue.under_way().is_some())
            .filter_map(|(_, queue)| queue.next_wake(now))
            .min()
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

/// How many events each hook has in the worker.
#[derive(Default)]
struct Room<'a>(BTreeMap<&'a str, usize>);

impl<'a> Room<'a> {
    fn take(&mut self, hook: &'a str) {
        *self.0.entry(hook).or_default() += 1;
    }

    fn has(&self, hook: &str) -> bool {
        self.0.get(hook).is_none_or(|taken| *taken < UNDER_WAY)
    }
}

#[cfg(test)]
mod tests;
