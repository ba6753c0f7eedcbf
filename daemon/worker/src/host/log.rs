//! `log`: lines of a plugin, escaped, cut and within a budget.
//!
//! The lines of a run are kept until it ends and then sent, so that a host function never waits
//! for the daemon.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mainstay_protocol::LogLevel;

use super::State;
use crate::bindings::common::Attribute;
use crate::bindings::log;
use crate::secrets::Secrets;
use crate::tally::lock;
use crate::text::{is_key, one_line};

/// The longest line and the longest value of a field, in bytes.
const LINE: usize = 1024;
/// Fields of one line, at most.
const FIELDS: usize = 16;
/// Lines that may come at once, however slow the budget refills.
const BURST: f64 = 20.0;
/// Lines kept for one run, at most; bounds the memory and the frame of a run whose budget is large.
const KEPT: usize = 200;
/// How often dropped lines are reported.
const REPORT: Duration = Duration::from_secs(60);

/// The budget of one plugin, shared by all its runs: a bucket that refills by the minute.
#[derive(Debug)]
pub(crate) struct LogBudget {
    per_minute: u32,
    state: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    lines: f64,
    filled: Instant,
    dropped: u64,
    reported: Option<Instant>,
}

impl LogBudget {
    /// A full bucket that takes `per_minute` lines a minute; with 0 every line is dropped.
    #[must_use]
    pub(crate) fn new(per_minute: u32) -> Self {
        let lines = if per_minute == 0 { 0.0 } else { BURST };
        Self {
            per_minute,
            state: Mutex::new(Bucket {
                lines,
                filled: Instant::now(),
                dropped: 0,
                reported: None,
            }),
        }
    }

    fn take(&self, now: Instant) -> bool {
        let mut bucket = lock(&self.state);
        let minutes = now.saturating_duration_since(bucket.filled).as_secs_f64() / 60.0;
        bucket.lines = (bucket.lines + minutes * f64::from(self.per_minute)).min(BURST);
        bucket.filled = now;
        let enough = bucket.lines >= 1.0 && self.per_minute > 0;
        if enough {
            bucket.lines -= 1.0;
        } else {
            bucket.dropped += 1;
        }
        enough
    }

    fn drop_one(&self) {
        lock(&self.state).dropped += 1;
    }

    /// How many lines were dropped since the last report, if it is time for another one.
    pub(crate) fn report(&self, now: Instant) -> Option<u64> {
        let mut bucket = lock(&self.state);
        let due = bucket
            .reported
            .is_none_or(|last| now.saturating_duration_since(last) >= REPORT);
        if bucket.dropped == 0 || !due {
            return None;
        }
        bucket.reported = Some(now);
        Some(std::mem::take(&mut bucket.dropped))
    }
}

/// One line as it goes to the daemon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// How loud.
    pub(crate) level: LogLevel,
    /// The text.
    pub(crate) message: String,
    /// Its fields.
    pub(crate) fields: Vec<(String, String)>,
}

/// The lines of one run.
#[derive(Debug)]
pub(crate) struct RunLog {
    budget: Arc<LogBudget>,
    secrets: Arc<Secrets>,
    lines: Mutex<Vec<Line>>,
}

impl RunLog {
    /// An empty log that takes from `budget`, and keeps `secrets` out of its lines.
    #[must_use]
    pub(crate) fn new(budget: Arc<LogBudget>, secrets: Arc<Secrets>) -> Self {
        Self {
            budget,
            secrets,
            lines: Mutex::default(),
        }
    }

    /// Adds a line, or counts it as dropped.
    pub(crate) fn add(&self, level: LogLevel, message: &str, fields: &[Attribute]) {
        if !self.budget.take(Instant::now()) {
            return;
        }
        let mut lines = lock(&self.lines);
        if lines.len() == KEPT {
            self.budget.drop_one();
            return;
        }
        lines.push(Line {
            level,
            message: one_line(&self.secrets.blot(message), LINE),
            fields: fields
                .iter()
                .filter(|field| is_key(&field.key))
                .take(FIELDS)
                .map(|field| {
                    let value = self.secrets.blot(&field.value);
                    (field.key.clone(), one_line(&value, LINE))
                })
                .collect(),
        });
    }

    /// What was logged so far; the log is empty afterwards.
    #[must_use]
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut lock(&self.lines))
    }
}

impl log::Host for State {
    async fn enabled(&mut self, _level: log::Level) -> bool {
        let _call = self.tally.call("log.enabled");
        true
    }

    async fn write(&mut self, level: log::Level, message: String, fields: Vec<Attribute>) {
        let _call = self.tally.call("log.write");
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.add(level, &message, &fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_refills_by_the_minute_and_never_over_the_burst() {
        let budget = LogBudget::new(60);
        let start = Instant::now();
        assert_eq!((0..100).filter(|_| budget.take(start)).count(), 20);
        assert!(!budget.take(start + Duration::from_millis(900)));
        assert!(budget.take(start + Duration::from_millis(1100)));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 20);
    }

    #[test]
    fn dropped_lines_are_reported_once_a_minute() {
        let budget = LogBudget::new(60);
        let start = Instant::now();
        assert_eq!(budget.report(start), None);
        assert_eq!((0..25).filter(|_| budget.take(start)).count(), 20);
        assert_eq!(budget.report(start), Some(5));
        assert_eq!((0..25).filter(|_| budget.take(start)).count(), 0);
        assert_eq!(budget.report(start + Duration::from_secs(59)), None);
        assert_eq!(budget.report(start + REPORT), Some(25));
    }

    #[test]
    fn a_budget_of_nothing_drops_everything() {
        let log = RunLog::new(Arc::new(LogBudget::new(0)), Arc::default());
        log.add(LogLevel::Info, "x", &[]);
        assert!(log.take().is_empty());
    }

    #[test]
    fn fields_with_keys_outside_the_contract_are_left_out() {
        let log = RunLog::new(Arc::new(LogBudget::new(60)), Arc::default());
        let field = |key: &str| Attribute {
            key: key.into(),
            value: "a\nb".into(),
        };
        log.add(LogLevel::Info, "x", &[field("ok"), field("Not OK")]);
        let fields = log.take().remove(0).fields;
        assert_eq!(fields, [("ok".to_owned(), "a\\nb".to_owned())]);
    }
}
