//! Checks: from verdicts to "in service" or not, with rise, fall, staleness and `on-error`.

mod complaint;
mod told;

use std::collections::HashMap;
use std::time::Duration;

use complaint::Complaint;
pub(crate) use told::Told;

use crate::event::CheckChange;
use crate::input::{Outcome, Status, Verdict, WeightChange};
use crate::record::CheckRecord;
use crate::settings::{CheckSettings, Initial, OnError};
use crate::status::{CheckState, CheckStatus};
use crate::time::{Realtime, Time};

/// Longest message that is remembered across a crash, in bytes.
const REMEMBERED_MESSAGE: usize = 128;

#[derive(Debug)]
pub(crate) struct Check {
    settings: CheckSettings,
    /// The last word, whatever it was.
    last: CheckState,
    message: String,
    complaint: Complaint,
    degraded_told: Complaint,
    told: Told,
    /// Whether the last report of being in service was a degraded one.
    degraded: bool,
    in_service: bool,
    weight: WeightChange,
    /// Whether a report has ever decided, in this process or one before it.
    decided: bool,
    /// The last report grew too old, and none has come since.
    stale: bool,
    /// Reports in a row that contradict `in_service`.
    contrary: u32,
    /// When the last report came that counts.
    reported_at: Option<Time>,
    /// Until when routers that are active already do not hold a missing first report against it.
    probation: Option<Time>,
    runs: u64,
    errors: u64,
    last_run: Duration,
}

/// What a router needs to know of a check that it tracks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assessment<'a> {
    pub(crate) in_service: bool,
    pub(crate) weight: WeightChange,
    pub(crate) message: &'a str,
    /// New by a reload and without a report yet.
    pub(crate) on_probation: bool,
}

impl Check {
    pub(crate) fn new(
        settings: CheckSettings,
        remembered: Option<&CheckRecord>,
        now: Time,
    ) -> Self {
        let mut check = Self {
            in_service: settings.initial == Initial::Healthy,
            settings,
            last: CheckState::Unknown,
            message: "no report yet".to_owned(),
            complaint: Complaint::default(),
            degraded_told: Complaint::default(),
            told: Told::default(),
            degraded: false,
            weight: WeightChange::Unchanged,
            decided: false,
            stale: false,
            contrary: 0,
            reported_at: None,
            probation: None,
            runs: 0,
            errors: 0,
            last_run: Duration::ZERO,
        };
        if let Some(record) = remembered
            && now.since(record.at) < check.settings.stale_after
        {
            check.in_service = record.in_service;
            check.last = match record.in_service {
                true => CheckState::Healthy,
                false => CheckState::Unhealthy,
            };
            check.message = record.message.clone();
            check.weight = record.weight;
            check.decided = true;
            check.reported_at = Some(record.at);
        }
        check
    }

    /// A check that a reload brings: an active router may go on until its first report.
    pub(crate) fn on_probation(mut self, now: Time) -> Self {
        self.probation = Some(now + self.settings.stale_after);
        self
    }

    /// Takes new settings of the same identity.
    pub(crate) fn reconfigure(&mut self, settings: CheckSettings) {
        self.settings = settings;
    }

    /// What hooks know of the check of its name: what goes on under that name goes on from there.
    pub(crate) fn take_told(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    /// The same, whatever else the check was before.
    pub(crate) fn set_told(&mut self, told: Told) {
        self.told = told;
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn identity(&self) -> [u8; 32] {
        self.settings.identity
    }

    /// Takes the verdict of a run; true when something that routers see has changed.
    pub(crate) fn report(&mut self, verdict: Verdict, now: Time) -> bool {
        let before = self.visible();
        if !matches!(verdict.outcome, Outcome::NotRun { .. }) {
            self.runs += 1;
            self.last_run = verdict.took;
        }
        self.errors += u64::from(matches!(verdict.outcome, Outcome::Fault { .. }));
        match verdict.outcome {
            Outcome::Report {
                status,
                weight,
                message,
            } => {
                self.last = match status {
                    Status::Healthy => CheckState::Healthy,
                    Status::Degraded => CheckState::Degraded,
                    Status::Unhealthy => CheckState::Unhealthy,
                };
                if status != Status::Unhealthy {
                    self.degraded = status == Status::Degraded;
                }
                self.weight = weight;
                self.message = message;
                self.complaint.settle();
                self.count(status != Status::Unhealthy, now);
            }
            Outcome::Fault { message } | Outcome::NotRun { message } => {
                self.last = CheckState::Error;
                self.message = match self.stale && self.settings.on_error == OnError::Keep {
                    true => self.silence(Some(&message)),
                    false => message,
                };
                match self.settings.on_error {
                    OnError::Keep => {}
                    OnError::Fail => self.settle(false, now),
                    OnError::Pass => self.settle(true, now),
                }
            }
        }
        before != self.visible()
    }

    /// What people are to be told of a run without an answer or with a degraded one, if they are: see
    /// [`Complaint`].
    pub(crate) fn complain(&mut self, outcome: &Outcome, now: Time) -> Option<String> {
        let message = match outcome {
            Outcome::Fault { message } => message,
            Outcome::Report {
                status: Status::Degraded,
                message,
                ..
            } => {
                // Told once until it is over, however its words vary.
                let due = self.degraded_told.is_due("degraded", now);
                return due.then(|| format!("degraded: {message}"));
            }
            Outcome::Report { .. } => {
                self.degraded_told.settle();
                return None;
            }
            Outcome::NotRun { .. } => return None,
        };
        let on_error = match self.settings.on_error {
            OnError::Keep => "keep",
            OnError::Fail => "fail",
            OnError::Pass => "pass",
        };
        self.complaint
            .is_due(message, now)
            .then(|| format!("gives no verdict: {message}; on-error = \"{on_error}\""))
    }

    /// What hooks are to be told, when it is something else than the last time.
    pub(crate) fn change(&mut self, at: Realtime) -> Option<CheckChange> {
        let to = match (self.decided, self.in_service, self.degraded) {
            (false, _, _) => CheckState::Unknown,
            (true, false, _) => CheckState::Unhealthy,
            (true, true, true) => CheckState::Degraded,
            (true, true, false) => CheckState::Healthy,
        };
        self.told.change(&self.settings.name, to, &self.message, at)
    }

    /// When the last report stops to count, or the probation ends.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.reported_at
            .map(|at| at + self.settings.stale_after)
            .or(self.probation)
    }

    /// Lets go of a report that is too old; true when something that routers see has changed.
    pub(crate) fn expire(&mut self, now: Time) -> bool {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return false;
        }
        let before = self.visible();
        self.probation = None;
        if self.reported_at.take().is_some() {
            self.in_service = self.settings.on_error == OnError::Pass;
            self.weight = WeightChange::Unchanged;
            let error = (self.last == CheckState::Error).then_some(self.message.as_str());
            self.message = self.silence(error);
            self.last = CheckState::Unknown;
            self.decided = false;
            self.stale = true;
            self.contrary = 0;
        }
        before != self.visible()
    }

    pub(crate) fn assess(&self) -> Assessment<'_> {
        Assessment {
            in_service: self.in_service,
            weight: self.weight,
            message: &self.message,
            on_probation: !self.decided && self.probation.is_some(),
        }
    }

    /// What to remember, once there is a report.
    pub(crate) fn record(&self) -> Option<CheckRecord> {
        Some(CheckRecord {
            identity: self.settings.identity,
            in_service: self.in_service,
            message: cut(&self.message, REMEMBERED_MESSAGE).to_owned(),
            weight: self.weight,
            at: self.reported_at?,
        })
    }

    pub(crate) fn status(&self) -> CheckStatus {
        CheckStatus {
            name: self.settings.name.clone(),
            plugin: self.settings.plugin.clone(),
            status: self.last,
            in_service: self.in_service,
            message: self.message.clone(),
            runs: self.runs,
            errors: self.errors,
            last_run_seconds: self.last_run.as_secs_f64(),
        }
    }

    /// That there is no report, and the error that came instead.
    fn silence(&self, error: Option<&str>) -> String {
        let silence = format!("no report for {:?}", self.settings.stale_after);
        match error {
            Some(error) => format!("{silence}, last: {error}"),
            None => silence,
        }
    }

    /// Counts what is no report as one that says nothing of a weight.
    fn settle(&mut self, healthy: bool, now: Time) {
        self.weight = WeightChange::Unchanged;
        self.degraded = false;
        self.count(healthy, now);
    }

    fn count(&mut self, healthy: bool, now: Time) {
        self.reported_at = Some(now);
        self.stale = false;
        self.probation = None;
        if !self.decided {
            // The first report decides at once: there is nothing yet that a single one could flap.
            self.decided = true;
            self.in_service = healthy;
            self.contrary = 0;
        } else if healthy == self.in_service {
            self.contrary = 0;
        } else {
            self.contrary += 1;
            let needed = match healthy {
                true => self.settings.rise,
                false => self.settings.fall,
            };
            if self.contrary >= needed {
                self.in_service = healthy;
                self.contrary = 0;
            }
        }
    }

    fn visible(&self) -> (bool, WeightChange, bool, bool) {
        (
            self.in_service,
            self.weight,
            self.decided,
            self.probation.is_some(),
        )
    }
}

/// All checks, found by name.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    list: Vec<Check>,
    by_name: HashMap<String, usize>,
}

impl Checks {
    pub(crate) fn new(list: Vec<Check>) -> Self {
        let by_name = list
            .iter()
            .enumerate()
            .map(|(index, check)| (check.name().to_owned(), index))
            .collect();
        Self { list, by_name }
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Check> {
        self.position(name).and_then(|index| self.list.get(index))
    }

    pub(crate) fn at(&mut self, index: usize) -> Option<&mut Check> {
        self.list.get_mut(index)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Check> {
        self.list.iter()
    }

    /// Takes the checks out, to be distributed anew.
    pub(crate) fn into_list(self) -> Vec<Check> {
        self.list
    }
}

/// The longest prefix of `text` with at most `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
