//! Hooks: events in the order of their source, one call after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mainstay_protocol::{
    DaemonPhase, Event, EventPayload, Fault, FaultKind, FromWorker, HookSpec, RouterTransition,
    Subject,
};
use tokio::sync::mpsc;

use crate::bindings::common::{Family, RouterState};
use crate::bindings::hook;
use crate::context::Context;
use crate::load::Use;
use crate::meter::{Meter, Metered};
use crate::plugin::Job;
use crate::run::{self, Permission};
use crate::turn::Turn;

/// A hook as it is called.
pub(crate) type Hook = Use<HookSpec>;

impl Metered for Hook {
    fn subject(&self) -> Subject {
        Subject::Hook(self.spec.name.clone())
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// Events of one source that wait for one hook, at most.
const QUEUE: usize = 64;
/// Sources times hooks with a queue, at most.
const SOURCES: usize = 4096;

/// The hooks, with a queue for each source that each has had an event of.
pub(crate) struct Hooks {
    context: Arc<Context>,
    hooks: HashMap<String, Arc<Hook>>,
    queues: HashMap<(String, String), mpsc::Sender<Event>>,
}

impl Hooks {
    /// Ready to deliver to these hooks.
    #[must_use]
    pub(crate) fn new(context: Arc<Context>, hooks: Vec<Hook>) -> Self {
        Self {
            context,
            hooks: hooks
                .into_iter()
                .map(|hook| (hook.spec.name.clone(), Arc::new(hook)))
                .collect(),
            queues: HashMap::new(),
        }
    }

    /// The hooks, to be metered.
    pub(crate) fn metered(&self) -> impl Iterator<Item = Arc<dyn Metered + Send + Sync>> {
        let hooks = self.hooks.values().cloned();
        hooks.map(|hook| hook as Arc<dyn Metered + Send + Sync>)
    }

    /// Takes an event for a hook. Every event is answered by one
    /// [`FromWorker::HookDone`], at once when it cannot be taken.
    pub(crate) async fn deliver(&mut self, name: String, event: Event) {
        let refusal = match self.hooks.get(&name) {
            None => "there is no such hook",
            Some(hook) => {
                let key = (name.clone(), event.source.clone());
                if self.queues.len() >= SOURCES {
                    // Those that wait for nothing. A call may be under way, but whoever sends the next
                    // event of its source has had the answer.
                    self.queues
                        .retain(|_, queue| queue.capacity() < queue.max_capacity());
                }
                if !self.queues.contains_key(&key) && self.queues.len() < SOURCES {
                    let queue = start_queue(self.context.clone(), hook.clone());
                    self.queues.insert(key.clone(), queue);
                }
                let taken = self
                    .queues
                    .get(&key)
                    .map(|q| q.try_send(event.clone()).is_ok());
                match taken {
                    Some(true) => return,
                    Some(false) => "too many events of this source are waiting",
                    None => "there are too many sources",
                }
            }
        };
        let fault = Fault {
            kind: FaultKind::Limit,
            message: refusal.to_owned(),
        };
        done(&self.context, name, &event, Some(fault)).await;
    }
}

fn start_queue(context: Arc<Context>, hook: Arc<Hook>) -> mpsc::Sender<Event> {
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(event) = receiver.recv().await {
            let error = call(&context, &hook, &event).await.err();
            done(&context, hook.spec.name.clone(), &event, error).await;
        }
    });
    sender
}

async fn call(context: &Context, hook: &Hook, event: &Event) -> Result<(), Fault> {
    let job = Job::Deliver(translate(hook, event)?);
    let turn = Turn::of(&context.calls).await;
    let subject = Subject::Hook(hook.spec.name.clone());
    let timeout = Duration::from_millis(hook.spec.timeout_ms);
    let permission = Permission::Granted { target: None };
    let (plugin, shared) = (&hook.plugin, &context.shared);
    let ending = run::run(plugin, shared, job, timeout, permission, turn).await;
    hook.meter.add(&ending);
    context.send_log(&hook.plugin, &subject, ending.lines).await;
    ending.answer.map(drop)
}

async fn done(context: &Context, hook: String, event: &Event, error: Option<Fault>) {
    context
        .outbox
        .send(&FromWorker::HookDone {
            hook,
            source: event.source.clone(),
            sequence: event.sequence,
            error,
        })
        .await;
}

/// The event in the words of the contract.
fn translate(hook: &Hook, event: &Event) -> Result<hook::Event, Fault> {
    let failed = |message| Fault {
        kind: FaultKind::Error,
        message,
    };
    Ok(hook::Event {
        sequence: event.sequence,
        source: event.source.clone(),
        at_unix_ms: event.at_unix_ms,
        queued_ms: event.queued_ms,
        coalesced: event.coalesced,
        payload: match &event.payload {
            EventPayload::Router(router) => {
                hook::Payload::Router(transition(router).map_err(failed)?)
            }
            EventPayload::Check(change) => hook::Payload::Check(hook::CheckChange {
                check: change.check.clone(),
                from: change.from.clone(),
                to: change.to.clone(),
                message: change.message.clone(),
            }),
            EventPayload::Daemon(phase) => hook::Payload::Daemon(match phase {
                DaemonPhase::Started => hook::DaemonPhase::Started,
                DaemonPhase::Reloaded => hook::DaemonPhase::Reloaded,
                DaemonPhase::Stopping => hook::DaemonPhase::Stopping,
            }),
        },
        settings: hook.settings.to_string(),
        deadline_ms: u32::try_from(hook.spec.timeout_ms).unwrap_or(u32::MAX),
        attributes: Vec::new(),
    })
}

fn transition(router: &RouterTransition) -> Result<hook::RouterTransition, String> {
    Ok(hook::RouterTransition {
        router: router.router.clone(),
        family: Family::of(&router.family)
            .ok_or_else(|| format!("there is no address family {}", router.family))?,
        group: None,
        interface_name: router.interface.clone(),
        id: router.id,
        from: state(&router.from)?,
        to: state(&router.to)?,
        priority: router.priority,
        addresses: router.addresses.clone(),
        cause: router.cause.clone(),
        attributes: Vec::new(),
    })
}

fn state(name: &str) -> Result<RouterState, String> {
    RouterState::of(name).ok_or_else(|| format!("there is no router state {name}"))
}
