//! A worker at work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_core::input::Verdict;
use mainstay_protocol::{Event, FromWorker, Load, Subject, ToWorker};

use crate::worker::connection::ConnectionError;
use crate::worker::process::death;
use crate::worker::pulse::Pulse;
use crate::worker::relay;
use crate::worker::source::Worker;
use crate::worker::suspects::Death;

/// A worker that was told to start, and what is known of its work.
#[derive(Debug)]
pub(super) struct Serving {
    worker: Worker,
    load: Arc<Load>,
    /// Plugin and check or hook of each run that was announced and has not ended.
    in_flight: BTreeSet<(String, Name)>,
    pulse: Pulse,
    since: Instant,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Name {
    Check(String),
    Hook(String),
}

/// What a message comes to.
#[derive(Debug)]
pub(super) enum News {
    /// For the engine.
    Verdict(Verdict),
    /// A hook has answered.
    Hook {
        hook: String,
        source: String,
        sequence: u64,
        /// Why it failed.
        error: Option<String>,
    },
}

impl Serving {
    /// Lets a worker begin that has loaded this.
    ///
    /// # Errors
    /// When the worker is gone already.
    pub(super) fn begin(
        mut worker: Worker,
        load: Arc<Load>,
        now: Instant,
    ) -> Result<Self, ConnectionError> {
        worker.connection.send(&ToWorker::Start)?;
        Ok(Self {
            worker,
            in_flight: BTreeSet::new(),
            pulse: Pulse::new(&load, now),
            load,
            since: now,
        })
    }

    /// Since when it serves.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Its process id, as it says.
    pub(super) fn pid(&self) -> u32 {
        self.worker.hello.pid
    }

    /// The plugins with a run in flight.
    pub(super) fn suspects(&self) -> BTreeSet<String> {
        let plugins = self.in_flight.iter().map(|(plugin, _)| plugin.clone());
        plugins.collect()
    }

    /// The next message that is no question. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the worker is gone, or not to be trusted.
    pub(super) async fn next(&mut self) -> Result<FromWorker, ConnectionError> {
        self.worker.next().await
    }

    /// Takes note of a message. What isn't of this worker's load is dropped.
    pub(super) fn hear(&mut self, message: FromWorker, now: Instant) -> Option<News> {
        self.pulse.beat(now);
        match message {
            FromWorker::RunStarted { plugin, subject } => {
                if let Some(name) = self.known(&plugin, subject) {
                    self.in_flight.insert((plugin, name));
                }
                None
            }
            FromWorker::Verdict {
                check,
                generation,
                outcome,
                took_us,
                overruns: _,
            } if generation == self.load.generation && self.plugin_of(&check).is_some() => {
                self.ended(&Name::Check(check.clone()));
                let verdict = relay::verdict(check, generation, outcome, took_us);
                Some(News::Verdict(verdict))
            }
            FromWorker::HookDone {
                hook,
                source,
                sequence,
                error,
            } if self.hooks(&hook).is_some() => {
                self.ended(&Name::Hook(hook.clone()));
                Some(News::Hook {
                    hook,
                    source,
                    sequence,
                    error: error.map(|fault| relay::fault_text(&fault)),
                })
            }
            other => {
                if let FromWorker::Quarantine { check, for_ms } = &other {
                    let rest = Duration::from_millis(*for_ms);
                    self.pulse.rests(check, rest, now);
                }
                relay::log(&other);
                None
            }
        }
    }

    /// Sends an event to a hook.
    ///
    /// # Errors
    /// When the worker is gone, or doesn't read.
    pub(super) fn deliver(&mut self, hook: String, event: Event) -> Result<(), ConnectionError> {
        let event = ToWorker::Event { hook, event };
        self.worker.connection.send(&event)
    }

    /// Whether this worker has loaded the hook.
    pub(super) fn serves_hook(&self, hook: &str) -> bool {
        self.hooks(hook).is_some()
    }

    /// When [`Self::is_hung`] is to be asked. `event` is since when a hook has one.
    pub(super) fn owed_until(&self, event: Option<Instant>) -> Option<Instant> {
        self.pulse.deadline(event)
    }

    /// Whether the worker owes a frame and has sent none.
    pub(super) fn is_hung(&mut self, event: Option<Instant>, now: Instant) -> bool {
        let late = self.pulse.is_late(event, now);
        if late && self.worker.connection.has_more() {
            self.pulse.beat(now);
            return false;
        }
        late
    }

    /// Ends the worker. Answers with how it ended, and with a line for people.
    pub(super) async fn end(self, hung: bool) -> (Death, String) {
        let status = match self.worker.process {
            Some(process) => process.end().await,
            None => None,
        };
        match status {
            _ if hung => (Death::Hung, "it did not answer and was killed".to_owned()),
            Some(status) => (death(status), status.to_string()),
            None => (Death::Unknown, "the connection ended".to_owned()),
        }
    }

    /// The check or hook of a run, when this plugin has been loaded for it.
    fn known(&self, plugin: &str, subject: Subject) -> Option<Name> {
        match subject {
            Subject::Check(name) if self.plugin_of(&name) == Some(plugin) => {
                Some(Name::Check(name))
            }
            Subject::Hook(name) if self.hooks(&name) == Some(plugin) => Some(Name::Hook(name)),
            Subject::Check(_) | Subject::Hook(_) | Subject::Load => None,
        }
    }

    fn ended(&mut self, name: &Name) {
        self.in_flight.retain(|(_, other)| other != name);
    }

    /// The plugin of a check.
    pub(super) fn plugin_of(&self, check: &str) -> Option<&str> {
        let spec = self.load.checks.iter().find(|spec| spec.name == check)?;
        Some(&spec.plugin)
    }

    /// The plugin of a hook.
    fn hooks(&self, hook: &str) -> Option<&str> {
        let spec = self.load.hooks.iter().find(|spec| spec.name == hook)?;
        Some(&spec.plugin)
    }
}
