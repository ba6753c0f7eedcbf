//! A worker at work.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_core::input::Verdict;
use mainstay_protocol::{Event, FromWorker, Load, ToWorker};

use super::claims::Claims;
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
    /// Places of the checks in the load, by name.
    checks: HashMap<String, usize>,
    claims: Claims,
    pulse: Pulse,
    /// What came after the last messages.
    failed: Option<ConnectionError>,
    since: Instant,
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
            checks: (load.checks.iter().enumerate())
                .map(|(place, check)| (check.name.clone(), place))
                .collect(),
            claims: Claims::new(&load, now),
            pulse: Pulse::new(&load, now),
            failed: None,
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
        self.worker.in_flight.suspects()
    }

    /// The next messages that are no questions, as many as came together. Nothing is lost when the
    /// future is dropped.
    ///
    /// # Errors
    /// When the worker is gone, or not to be trusted.
    pub(super) async fn next(&mut self) -> Result<Vec<FromWorker>, ConnectionError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut message = self.worker.next().await?;
        let now = Instant::now();
        self.claims.check(&message, now)?;
        let mut messages = Vec::new();
        loop {
            messages.push(message);
            let ready = self.worker.ready();
            let next = ready.and_then(|next| match next {
                Some(next) => self.claims.check(&next, now).map(|()| Some(next)),
                None => Ok(None),
            });
            match next {
                Ok(Some(next)) => message = next,
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(messages)
    }

    /// Takes note of a message. What isn't of this worker's load is dropped.
    pub(super) fn hear(&mut self, message: FromWorker, now: Instant) -> Option<News> {
        // What is counted is no sign that anything runs.
        if !matches!(message, FromWorker::Usage(_)) {
            self.pulse.beat(now);
        }
        match message {
            FromWorker::Verdict {
                check,
                generation,
                outcome,
                took_us,
                overruns: _,
            } if generation == self.load.generation && self.plugin_of(&check).is_some() => {
                let verdict = relay::verdict(check, generation, outcome, took_us);
                Some(News::Verdict(verdict))
            }
            FromWorker::HookDone {
                hook,
                source,
                sequence,
                error,
            } if self.hooks(&hook).is_some() => Some(News::Hook {
                hook,
                source,
                sequence,
                error: error.map(|fault| relay::fault_text(&fault)),
            }),
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
        self.claims.sent(&hook, &event);
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

    /// The plugin of a check.
    pub(super) fn plugin_of(&self, check: &str) -> Option<&str> {
        let place = self.checks.get(check)?;
        Some(&self.load.checks.get(*place)?.plugin)
    }

    /// The plugin of a hook.
    pub(super) fn hooks(&self, hook: &str) -> Option<&str> {
        let spec = self.load.hooks.iter().find(|spec| spec.name == hook)?;
        Some(&spec.plugin)
    }
}
