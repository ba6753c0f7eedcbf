//! What a worker at work can say in truth: of its own checks, hooks and plugins, and not more than
//! these can have to say. A worker that says anything else is not the one that was started, or not
//! any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use mainstay_protocol::{Event, FromWorker, Load, Subject};

use crate::worker::connection::ConnectionError;

/// Messages of one run, and of one call of a hook: its end, and a rest or the end of one. Lines of
/// the log have a budget of their own.
const OF_A_RUN: f64 = 3.0;
/// A worker that was held up says in a moment what it had to say in the last few runs.
const RUNS_AT_ONCE: f64 = 16.0;
/// Lines that a plugin may write at once, and the count of those that were dropped.
const LINES_AT_ONCE: f64 = 32.0;
/// The clocks of two processes, and the ends of two intervals, are not the same.
const LENIENT: f64 = 2.0;

/// What one worker may say.
#[derive(Debug)]
pub(super) struct Claims {
    generation: u64,
    plugins: BTreeSet<String>,
    /// The plugin of each.
    checks: BTreeMap<String, String>,
    hooks: BTreeMap<String, String>,
    /// How often each event was sent and not answered, by hook, source and sequence.
    events: BTreeMap<(String, String, u64), u32>,
    /// Messages that it may still send, filled up by the second.
    room: f64,
    most: f64,
    a_second: f64,
    filled: Instant,
}

impl Claims {
    /// A worker that begins to serve this now.
    pub(super) fn new(load: &Load, now: Instant) -> Self {
        let runs = load.checks.iter();
        let runs: f64 = runs
            .map(|check| 1000.0 / check.interval_ms.max(1) as f64)
            .sum();
        let lines = load.plugins.iter();
        let lines: f64 = lines
            .map(|spec| f64::from(spec.limits.log_lines_per_minute) / 60.0)
            .sum();
        let (checks, plugins) = (load.checks.len() as f64, load.plugins.len() as f64);
        let most = checks * RUNS_AT_ONCE * OF_A_RUN + plugins * LINES_AT_ONCE;
        Self {
            generation: load.generation,
            plugins: load.plugins.iter().map(|spec| spec.name.clone()).collect(),
            checks: load
                .checks
                .iter()
                .map(|spec| (spec.name.clone(), spec.plugin.clone()))
                .collect(),
            hooks: load
                .hooks
                .iter()
                .map(|spec| (spec.name.clone(), spec.plugin.clone()))
                .collect(),
            events: BTreeMap::new(),
            room: most,
            most,
            a_second: LENIENT * (runs * OF_A_RUN + lines),
            filled: now,
        }
    }

    /// It is sent an event, and may speak of that.
    pub(super) fn sent(&mut self, hook: &str, event: &Event) {
        let key = (hook.to_owned(), event.source.clone(), event.sequence);
        *self.events.entry(key).or_default() += 1;
        self.room += OF_A_RUN;
    }

    /// Looks whether it can say this, now.
    ///
    /// # Errors
    /// [`ConnectionError::Lie`] and [`ConnectionError::Flood`].
    pub(super) fn check(
        &mut self,
        message: &FromWorker,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        // What an event has added on top stays.
        let filled = (self.room + elapsed * self.a_second).min(self.most);
        self.room = self.room.max(filled) - 1.0;
        self.filled = now;
        if self.room < 0.0 {
            return Err(ConnectionError::Flood);
        }
        match self.knows(message) {
            None => Ok(()),
            Some(lie) => Err(ConnectionError::Lie(lie)),
        }
    }

    /// What is wrong with a message.
    fn knows(&mut self, message: &FromWorker) -> Option<&'static str> {
        match message {
            FromWorker::Verdict {
                check, generation, ..
            } => {
                if *generation != self.generation {
                    return Some("a verdict of another configuration");
                }
                let known = self.checks.contains_key(check);
                (!known).then_some("a verdict of a check that it does not run")
            }
            FromWorker::HookDone {
                hook,
                source,
                sequence,
                error: _,
            } => {
                let key = (hook.clone(), source.clone(), *sequence);
                let Some(times) = self.events.get_mut(&key) else {
                    return Some("an event that it was not sent");
                };
                *times -= 1;
                if *times == 0 {
                    self.events.remove(&key);
                }
                None
            }
            FromWorker::Log {
                plugin, subject, ..
            } => (!self.of(plugin, subject)).then_some("a line of what it does not run"),
            FromWorker::LogDropped { plugin, .. } => {
                let known = self.plugins.contains(plugin);
                (!known).then_some("lines of a plugin that it does not run")
            }
            FromWorker::Usage(usage) => {
                let known = match &usage.subject {
                    Subject::Check(name) => self.checks.contains_key(name),
                    Subject::Hook(name) => self.hooks.contains_key(name),
                    Subject::Load => false,
                };
                (!known).then_some("the runs of what it does not run")
            }
            FromWorker::Quarantine { check, .. } => {
                let known = self.checks.contains_key(check);
                (!known).then_some("the rest of a check that it does not run")
            }
            // Answered before it comes here.
            FromWorker::Ask { .. } => None,
            FromWorker::Hello { .. }
            | FromWorker::Compiled { .. }
            | FromWorker::Examined(_)
            | FromWorker::Loaded { .. }
            | FromWorker::Ran(_) => Some("an answer to what it was not asked"),
        }
    }

    /// Whether this plugin is used for that.
    fn of(&self, plugin: &str, subject: &Subject) -> bool {
        match subject {
            Subject::Check(name) => self.checks.get(name).is_some_and(|of| of == plugin),
            Subject::Hook(name) => self.hooks.get(name).is_some_and(|of| of == plugin),
            Subject::Load => self.plugins.contains(plugin),
        }
    }
}
