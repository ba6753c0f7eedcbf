//! What the engine is told of checks that nobody runs: their plugin rests, or there is no worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mainstay_core::input::{Outcome, Verdict};
use mainstay_protocol::Load;

use crate::worker::suspects::Suspects;

/// A worker that is replaced within this is not missed.
const GRACE: Duration = Duration::from_secs(1);

/// The checks that nobody runs: instead of a report each says so, as often as it would have run,
/// so that `on-error` decides about it.
#[derive(Debug, Default)]
pub(super) struct IdleChecks {
    /// By name, when the next fault is due.
    due: BTreeMap<String, Instant>,
}

impl IdleChecks {
    /// From now on those of the plugins that rest now, or all while no worker is `serving`. The first
    /// fault is due at once when the plugin rests, and else when the next run would be over.
    pub(super) fn list(&mut self, load: &Load, suspects: &Suspects, serving: bool, now: Instant) {
        let before = std::mem::take(&mut self.due);
        let resting = suspects.resting();
        for check in &load.checks {
            let rests = resting.contains(&check.plugin);
            if serving && !rests {
                continue;
            }
            let wait = match rests {
                true => Duration::ZERO,
                false => GRACE.max(Duration::from_millis(check.interval_ms + check.timeout_ms)),
            };
            let due = before.get(&check.name).copied().unwrap_or(now + wait);
            self.due.insert(check.name.clone(), due);
        }
    }

    /// The faults that are due.
    pub(super) fn due(&mut self, load: &Load, suspects: &Suspects, now: Instant) -> Vec<Verdict> {
        let mut faults = Vec::new();
        for check in &load.checks {
            let Some(due) = self.due.get_mut(&check.name).filter(|due| **due <= now) else {
                continue;
            };
            *due = now + Duration::from_millis(check.interval_ms.max(1));
            let message = match suspects.rests_until(&check.plugin) {
                Some(until) => format!(
                    "quarantined: plugin {} is tried again in {} s",
                    check.plugin,
                    until.saturating_duration_since(now).as_secs()
                ),
                None => "there is no plugin worker".to_owned(),
            };
            faults.push(Verdict {
                check: check.name.clone(),
                generation: load.generation,
                outcome: Outcome::NotRun { message },
                took: Duration::ZERO,
            });
        }
        faults
    }

    /// When [`Self::due`] has something to say.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}
