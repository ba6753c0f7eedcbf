//! What the engine is told of checks whose plugin rests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mainstay_core::input::Verdict;
use mainstay_protocol::{Fault, FaultKind, Load, Outcome};

use crate::worker::relay;
use crate::worker::suspects::Suspects;

/// The checks of resting plugins: instead of a report each gives a fault, as often as it would have
/// run, so that `on-error` decides about it.
#[derive(Debug, Default)]
pub(super) struct RestingChecks {
    /// By name, when the next fault is due.
    due: BTreeMap<String, Instant>,
}

impl RestingChecks {
    /// From now on those of the plugins that rest now. A new one has its first fault due at once.
    pub(super) fn list(&mut self, load: &Load, suspects: &Suspects, now: Instant) {
        let before = std::mem::take(&mut self.due);
        let resting = suspects.resting();
        let checks = load.checks.iter();
        let checks = checks.filter(|check| resting.contains(&check.plugin));
        self.due = checks
            .map(|check| {
                let due = before.get(&check.name).copied().unwrap_or(now);
                (check.name.clone(), due)
            })
            .collect();
    }

    /// The faults that are due.
    pub(super) fn due(&mut self, load: &Load, suspects: &Suspects, now: Instant) -> Vec<Verdict> {
        let mut faults = Vec::new();
        for check in &load.checks {
            let Some(due) = self.due.get_mut(&check.name).filter(|due| **due <= now) else {
                continue;
            };
            *due = now + Duration::from_millis(check.interval_ms.max(1));
            let until = suspects.rests_until(&check.plugin).unwrap_or(now);
            let rest = until.saturating_duration_since(now).as_secs();
            let outcome = Outcome::Fault(Fault {
                kind: FaultKind::Quarantined,
                message: format!("plugin {} is tried again in {rest} s", check.plugin),
            });
            let name = check.name.clone();
            faults.push(relay::verdict(name, load.generation, outcome, 0));
        }
        faults
    }

    /// When [`Self::due`] has something to say.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}
