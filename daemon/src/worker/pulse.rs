//! Whether the worker still lives, judged by what it owes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mainstay_protocol::Load;

/// Beyond what the settings allow: for a machine under load, and the frames' way.
const GRACE: Duration = Duration::from_secs(1);

/// A timer that comes later than this was held up: the daemon itself did not run, or the machine.
const HELD_UP: Duration = Duration::from_millis(500);

/// The pulse of one worker. Any frame is a sign of life; while checks are due or a hook has an
/// event, the next one is owed within a bound.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Interval of each check that runs, with its jitter, and until when the worker lets it rest.
    checks: BTreeMap<String, Check>,
    longest_check: Duration,
    longest_hook: Duration,
    last: Instant,
}

#[derive(Debug)]
struct Check {
    interval: Duration,
    rests_until: Option<Instant>,
}

impl Pulse {
    /// The pulse of a worker that begins to serve this now.
    pub(super) fn new(load: &Load, now: Instant) -> Self {
        let longest = |timeouts: &mut dyn Iterator<Item = u64>| {
            Duration::from_millis(timeouts.max().unwrap_or(0))
        };
        Self {
            checks: load
                .checks
                .iter()
                .map(|check| {
                    let interval =
                        Duration::from_millis(check.interval_ms.saturating_add(check.jitter_ms));
                    let check_state = Check {
                        interval,
                        rests_until: None,
                    };
                    (check.name.clone(), check_state)
                })
                .collect(),
            longest_check: longest(&mut load.checks.iter().map(|check| check.timeout_ms)),
            longest_hook: longest(&mut load.hooks.iter().map(|hook| hook.timeout_ms)),
            last: now,
        }
    }

    /// A frame came, or what follows is reckoned from now for another reason.
    pub(super) fn beat(&mut self, now: Instant) {
        self.last = now;
    }

    /// The worker lets a check rest for this long; zero when it runs again.
    pub(super) fn rests(&mut self, check: &str, rest: Duration, now: Instant) {
        if let Some(check) = self.checks.get_mut(check) {
            check.rests_until = now.checked_add(rest).filter(|_| !rest.is_zero());
        }
    }

    /// When the next frame is owed at the latest; `None` when none is. `event` is since when a hook
    /// has an event that it has not answered.
    ///
    /// A run begins an interval after the one before, or when one of those that run ends. So the
    /// silence lasts as long as the shortest interval and the longest run.
    pub(super) fn deadline(&self, event: Option<Instant>) -> Option<Instant> {
        let checks = self.checks.values().map(|check| {
            let from = check.rests_until.unwrap_or(self.last).max(self.last);
            from + check.interval + self.longest_check
        });
        let hooks = event.map(|sent| sent.max(self.last) + self.longest_hook);
        checks.chain(hooks).min().map(|owed| owed + GRACE)
    }

    /// Whether the worker is late now. A deadline that was itself looked at too late says nothing,
    /// and everything is reckoned from now.
    pub(super) fn is_late(&mut self, event: Option<Instant>, now: Instant) -> bool {
        let Some(deadline) = self.deadline(event).filter(|at| *at <= now) else {
            return false;
        };
        if now - deadline > HELD_UP {
            self.beat(now);
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::{CheckSpec, HookSpec};
    use serde_json::Value;

    use super::*;

    fn load(checks: &[(u64, u64)], hook: Option<u64>) -> Load {
        let checks = checks.iter().enumerate();
        Load {
            generation: 1,
            max_concurrent_runs: 4,
            unstable: Vec::new(),
            plugins: Vec::new(),
            checks: checks
                .map(|(number, &(interval_ms, timeout_ms))| CheckSpec {
                    name: number.to_string(),
                    plugin: "p".to_owned(),
                    settings: Value::Null,
                    target: None,
                    interval_ms,
                    jitter_ms: 0,
                    timeout_ms,
                    quarantine_after: 5,
                    quarantine_ms: 60_000,
                })
                .collect(),
            hooks: hook
                .map(|timeout_ms| HookSpec {
                    name: "h".to_owned(),
                    plugin: "p".to_owned(),
                    settings: Value::Null,
                    timeout_ms,
                })
                .into_iter()
                .collect(),
        }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_shortest_interval_and_the_longest_run_bound_the_silence() {
        let start = Instant::now();
        let mut pulse = Pulse::new(&load(&[(2_000, 1_000), (60_000, 3_000)], None), start);
        assert_eq!(pulse.deadline(None), Some(start + ms(5_000) + GRACE));
        assert!(!pulse.is_late(None, start + ms(5_999)));
        pulse.beat(start + ms(5_500));
        assert!(!pulse.is_late(None, start + ms(6_100)));
        assert!(pulse.is_late(None, start + ms(11_500)));
    }

    #[test]
    fn nothing_is_owed_without_checks_until_a_hook_has_an_event() {
        let start = Instant::now();
        let pulse = Pulse::new(&load(&[], Some(5_000)), start);
        assert_eq!(pulse.deadline(None), None);
        let sent = start + ms(70_000);
        assert_eq!(pulse.deadline(Some(sent)), Some(sent + ms(5_000) + GRACE));
    }

    #[test]
    fn a_check_that_rests_owes_nothing_meanwhile() {
        let start = Instant::now();
        let mut pulse = Pulse::new(&load(&[(2_000, 1_000)], None), start);
        pulse.rests("0", ms(60_000), start);
        let rested = start + ms(63_000) + GRACE;
        assert_eq!(pulse.deadline(None), Some(rested));
        pulse.rests("0", ms(0), start);
        assert_eq!(pulse.deadline(None), Some(start + ms(3_000) + GRACE));
    }

    #[test]
    fn a_daemon_that_was_paused_does_not_blame_the_worker() {
        let start = Instant::now();
        let mut pulse = Pulse::new(&load(&[(2_000, 1_000)], None), start);
        let resumed = start + ms(60_000);
        assert!(!pulse.is_late(None, resumed));
        assert!(pulse.is_late(None, resumed + ms(3_000) + GRACE));
    }
}
