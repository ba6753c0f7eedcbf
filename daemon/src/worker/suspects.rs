//! Which plugin a worker died of, and for how long that one rests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a plugin rests.
pub(super) const QUARANTINE: Duration = Duration::from_secs(60);

/// Blame at which a plugin rests.
const LIMIT: u32 = 30;

/// How a worker ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Death {
    /// By itself: a signal for a fault of its own, or an exit.
    Crashed,
    /// It did not answer, and was killed by us.
    Hung,
    /// The connection ended, and there is no child to ask why.
    Unknown,
    /// By a signal that somebody sent (SIGKILL, SIGTERM): an operator, or the kernel out of memory.
    Killed,
}

impl Death {
    /// What it adds to the blame of each plugin in flight. Three crashes in a row are enough, and
    /// one is when the plugin was alone; what somebody sent says little about the plugin.
    fn blame(self, alone: bool) -> u32 {
        match self {
            Self::Crashed if alone => LIMIT,
            Self::Crashed | Self::Hung | Self::Unknown => LIMIT / 3,
            Self::Killed => LIMIT / 10,
        }
    }
}

/// Blame, and quarantine.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Of the plugins that were in flight at the last deaths in a row.
    blame: BTreeMap<String, u32>,
    resting: BTreeMap<String, Instant>,
}

impl Suspects {
    /// A worker died with these plugins in flight. Answers with those that rest from now on.
    pub(super) fn died(
        &mut self,
        death: Death,
        in_flight: &BTreeSet<String>,
        now: Instant,
    ) -> Vec<String> {
        self.blame.retain(|plugin, _| in_flight.contains(plugin));
        let mut guilty = Vec::new();
        for plugin in in_flight {
            let blame = self.blame.entry(plugin.clone()).or_default();
            *blame += death.blame(in_flight.len() == 1);
            if *blame >= LIMIT {
                guilty.push(plugin.clone());
            }
        }
        for plugin in &guilty {
            self.quarantine(plugin.clone(), now);
        }
        guilty
    }

    /// Lets a plugin rest.
    pub(super) fn quarantine(&mut self, plugin: String, now: Instant) {
        self.blame.remove(&plugin);
        self.resting.insert(plugin, now + QUARANTINE);
    }

    /// The plugins that rest.
    pub(super) fn resting(&self) -> BTreeSet<String> {
        self.resting.keys().cloned().collect()
    }

    /// Until when a plugin rests.
    pub(super) fn rests_until(&self, plugin: &str) -> Option<Instant> {
        self.resting.get(plugin).copied()
    }

    /// When the next rest is over.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.resting.values().min().copied()
    }

    /// Ends the rests that are over. Answers whether there was one.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let before = self.resting.len();
        self.resting.retain(|_, until| *until > now);
        self.resting.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugins(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_plugin_alone_at_a_crash_rests_at_once() {
        let mut suspects = Suspects::default();
        let now = Instant::now();
        let guilty = suspects.died(Death::Crashed, &plugins(&["a"]), now);
        assert_eq!(guilty, ["a"]);
        assert_eq!(suspects.resting(), plugins(&["a"]));
        assert_eq!(suspects.next_wake(), Some(now + QUARANTINE));
        assert!(!suspects.release(now));
        assert!(suspects.release(now + QUARANTINE));
        assert!(suspects.resting().is_empty());
    }

    #[test]
    fn one_of_several_rests_after_three_crashes_in_a_row() {
        let mut suspects = Suspects::default();
        let now = Instant::now();
        let mut crash = |names: &[&str]| suspects.died(Death::Crashed, &plugins(names), now);
        assert!(crash(&["a", "b"]).is_empty());
        assert!(crash(&["a", "c"]).is_empty());
        assert_eq!(crash(&["a", "b"]), ["a"]);
        assert!(
            crash(&["b", "c"]).is_empty(),
            "b was not in flight in between"
        );
    }

    #[test]
    fn a_worker_that_somebody_kills_is_hardly_a_plugins_fault() {
        let mut suspects = Suspects::default();
        let now = Instant::now();
        for _ in 0..9 {
            assert!(
                suspects
                    .died(Death::Killed, &plugins(&["a"]), now)
                    .is_empty()
            );
        }
        assert_eq!(suspects.died(Death::Killed, &plugins(&["a"]), now), ["a"]);
    }

    #[test]
    fn a_worker_that_hangs_twice_is_not_yet_a_plugins_fault() {
        let mut suspects = Suspects::default();
        let now = Instant::now();
        for _ in 0..2 {
            assert!(suspects.died(Death::Hung, &plugins(&["a"]), now).is_empty());
        }
        assert_eq!(suspects.died(Death::Hung, &plugins(&["a"]), now), ["a"]);
    }
}
