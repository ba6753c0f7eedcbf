//! What runs came to, added up: sent every few seconds and not with each run.

use serde::{Deserialize, Serialize};

use crate::Subject;

/// Upper bounds of the classes of [`Times::counts`], in microseconds; the last class has none.
pub const TIME_BOUNDS_US: [u64; 8] = [10, 30, 100, 300, 1_000, 10_000, 100_000, 1_000_000];

/// What the runs of one check or hook came to since the last of these.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Usage {
    /// The check or hook.
    pub subject: Subject,
    /// Its runs.
    pub outcomes: Outcomes,
    /// How long they took, instantiation included.
    pub run: Times,
    /// How long instantiation took.
    pub instantiate: Times,
    /// The largest sum of memories and tables, in bytes.
    pub memory_peak: u64,
    /// Ticks left out since an earlier run was still going.
    pub overruns: u64,
    /// Calls of the host, by interface.
    pub host_calls: Vec<(String, u64)>,
    /// How long the host took for them, by interface.
    pub call_times: Vec<(String, Times)>,
    /// Calls that were denied, by interface.
    pub denied: Vec<(String, u64)>,
}

/// Runs by how they ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Outcomes {
    /// With a report, or delivered.
    pub ok: u64,
    /// As [`FaultKind::Error`](crate::FaultKind::Error).
    pub error: u64,
    /// As [`FaultKind::Trap`](crate::FaultKind::Trap).
    pub trap: u64,
    /// As [`FaultKind::Timeout`](crate::FaultKind::Timeout).
    pub timeout: u64,
    /// As [`FaultKind::Limit`](crate::FaultKind::Limit).
    pub limit: u64,
    /// As [`FaultKind::Denied`](crate::FaultKind::Denied).
    pub denied: u64,
}

/// Durations in classes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Times {
    /// How many there were in each class of [`TIME_BOUNDS_US`], and above.
    pub counts: [u64; TIME_BOUNDS_US.len() + 1],
    /// Their sum, in microseconds.
    pub sum_us: u64,
}

impl Times {
    /// Adds one.
    pub fn add(&mut self, took_us: u64) {
        let class = TIME_BOUNDS_US.partition_point(|bound| *bound < took_us);
        if let Some(count) = self.counts.get_mut(class) {
            *count = count.saturating_add(1);
        }
        self.sum_us = self.sum_us.saturating_add(took_us);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

impl Outcomes {
    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        let Self {
            ok,
            error,
            trap,
            timeout,
            limit,
            denied,
        } = self;
        for (count, more) in [
            (ok, other.ok),
            (error, other.error),
            (trap, other.trap),
            (timeout, other.timeout),
            (limit, other.limit),
            (denied, other.denied),
        ] {
            *count = count.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_class_of_its_bound() {
        let mut times = Times::default();
        for took in [0, 10, 11, 1_000_000, 1_000_001, u64::MAX] {
            times.add(took);
        }
        assert_eq!(times.counts, [2, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(times.sum_us, u64::MAX);
        let mut twice = times.clone();
        twice.merge(&times);
        assert_eq!(twice.counts[0], 4);
    }
}
