//! What is counted of plugins. What a worker says can neither add a series nor make one grow.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_protocol::{FromWorker, Load, Metric, Outcome, Outcomes, Subject, Times, Usage};

use crate::code::{Code, Codes};

/// Interfaces counted of one check or hook, at most; the contract has about a dozen.
const INTERFACES: usize = 32;

/// Metrics kept of one report.
const METRICS: usize = 32;

/// The counters, shared by who counts and who shows.
#[derive(Debug, Default)]
pub(crate) struct Totals(Mutex<Counters>);

/// All counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// By check or hook.
    pub(super) uses: BTreeMap<Instance, Use>,
    /// By plugin, as the worker's load names it.
    pub(super) plugins: BTreeMap<String, Plugin>,
}

/// A check or a hook.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Instance {
    Check(String),
    Hook(String),
}

/// Counters of a check or hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    /// Name of its plugin in the load.
    pub(super) plugin: String,
    pub(super) outcomes: Outcomes,
    pub(super) run: Times,
    pub(super) instantiate: Times,
    pub(super) memory_peak: u64,
    pub(super) overruns: u64,
    pub(super) host_calls: BTreeMap<String, u64>,
    /// Boxed: a map has room for eleven values even when it holds one.
    pub(super) call_times: BTreeMap<String, Box<Times>>,
    pub(super) denied: BTreeMap<String, u64>,
    /// Of the last report.
    pub(super) metrics: Vec<Metric>,
}

/// Counters of a plugin.
#[derive(Clone, Debug, Default)]
pub(super) struct Plugin {
    pub(super) memory_limit: u64,
    pub(super) log_dropped: u64,
    /// How long its last compilation took.
    pub(super) compiled_in: Option<Duration>,
    pub(super) cache: Cache,
}

/// Where code came from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cache {
    pub(super) hit: u64,
    pub(super) miss: u64,
    pub(super) rejected: u64,
}

impl Totals {
    /// From now on what belongs to this load is counted, and nothing else. What goes on under the same
    /// name goes on counting.
    pub(crate) fn serve(&self, load: &Load, codes: &Codes) {
        let mut counters = self.lock();
        let Counters { uses, plugins } = &mut *counters;
        let checks = load.checks.iter().map(|spec| {
            let instance = Instance::Check(spec.name.clone());
            (instance, spec.plugin.clone())
        });
        let hooks = load.hooks.iter().map(|spec| {
            let instance = Instance::Hook(spec.name.clone());
            (instance, spec.plugin.clone())
        });
        let mut before = std::mem::take(uses);
        for (instance, plugin) in checks.chain(hooks) {
            let mut counted = before.remove(&instance).unwrap_or_default();
            if counted.plugin != plugin {
                counted.metrics.clear();
                counted.plugin = plugin;
            }
            uses.insert(instance, counted);
        }
        let mut before = std::mem::take(plugins);
        for spec in &load.plugins {
            let mut counted = before.remove(&spec.name).unwrap_or_default();
            counted.memory_limit = spec.limits.memory;
            if let Some(code) = codes.by_digest.get(&spec.code) {
                counted.obtained(code);
            }
            plugins.insert(spec.name.clone(), counted);
        }
    }

    /// Takes what a message of a worker says of it, if it says anything.
    pub(crate) fn hear(&self, message: &FromWorker) {
        match message {
            FromWorker::Usage(usage) => self.add(usage.clone()),
            FromWorker::LogDropped { plugin, lines } => self.log_dropped(plugin, *lines),
            FromWorker::Verdict {
                check,
                outcome: Outcome::Report(report),
                ..
            } => self.report(check, &report.metrics),
            _ => {}
        }
    }

    /// A worker says what runs came to.
    pub(super) fn add(&self, usage: Usage) {
        let instance = match usage.subject {
            Subject::Check(name) => Instance::Check(name),
            Subject::Hook(name) => Instance::Hook(name),
            Subject::Load => return,
        };
        let mut counters = self.lock();
        let Some(counted) = counters.uses.get_mut(&instance) else {
            return;
        };
        counted.outcomes.merge(usage.outcomes);
        counted.run.merge(&usage.run);
        counted.instantiate.merge(&usage.instantiate);
        counted.memory_peak = counted.memory_peak.max(usage.memory_peak);
        counted.overruns = counted.overruns.saturating_add(usage.overruns);
        count(&mut counted.host_calls, usage.host_calls);
        let call_times = &mut counted.call_times;
        for (name, times) in usage.call_times {
            if may_count(call_times, &name) {
                call_times.entry(name).or_default().merge(&times);
            }
        }
        count(&mut counted.denied, usage.denied);
    }

    /// Metrics of the last report of a check.
    pub(super) fn report(&self, check: &str, metrics: &[Metric]) {
        let instance = Instance::Check(check.to_owned());
        if let Some(counted) = self.lock().uses.get_mut(&instance) {
            counted.metrics.clear();
            counted
                .metrics
                .extend(metrics.iter().take(METRICS).cloned());
        }
    }

    /// Lines of a plugin that were dropped.
    pub(super) fn log_dropped(&self, plugin: &str, lines: u64) {
        if let Some(counted) = self.lock().plugins.get_mut(plugin) {
            counted.log_dropped = counted.log_dropped.saturating_add(lines);
        }
    }

    /// All of it as it is now.
    pub(crate) fn counters(&self) -> Counters {
        self.lock().clone()
    }

    /// A counter is whole even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin {
    fn obtained(&mut self, code: &Code) {
        let Cache {
            hit,
            miss,
            rejected,
        } = &mut self.cache;
        match (code.compiled_in, code.rejected) {
            (None, _) => *hit += 1,
            (Some(_), false) => *miss += 1,
            (Some(_), true) => *rejected += 1,
        }
        self.compiled_in = code.compiled_in.or(self.compiled_in);
    }
}

/// Whether an interface is counted already, or may be from now on.
fn may_count<T>(counts: &BTreeMap<String, T>, name: &str) -> bool {
    let plain =
        (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    counts.contains_key(name) || (plain && counts.len() < INTERFACES)
}

fn count(counts: &mut BTreeMap<String, u64>, more: Vec<(String, u64)>) {
    for (name, more) in more {
        if may_count(counts, &name) {
            let count = counts.entry(name).or_default();
            *count = count.saturating_add(more);
        }
    }
}

/// A load with these checks of a plugin `p`.
#[cfg(test)]
pub(super) fn load_for_tests(checks: &[&str]) -> Load {
    Load {
        generation: 1,
        max_concurrent_runs: 4,
        unstable: Vec::new(),
        plugins: vec![mainstay_protocol::PluginSpec {
            name: "p".to_owned(),
            code: "00".to_owned(),
            grants: mainstay_protocol::Grants::default(),
            limits: mainstay_protocol::Limits::default(),
            secrets: Vec::new(),
        }],
        checks: checks
            .iter()
            .map(|name| mainstay_protocol::CheckSpec {
                name: (*name).to_owned(),
                plugin: "p".to_owned(),
                settings: serde_json::Value::Null,
                target: None,
                interval_ms: 1,
                jitter_ms: 0,
                timeout_ms: 1,
                quarantine_after: 1,
                quarantine_ms: 1,
            })
            .collect(),
        hooks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::load_for_tests as load;
    use super::*;

    fn usage(check: &str, calls: &[(&str, u64)]) -> Usage {
        Usage {
            subject: Subject::Check(check.to_owned()),
            outcomes: Outcomes {
                ok: 2,
                ..Outcomes::default()
            },
            run: Times::default(),
            instantiate: Times::default(),
            memory_peak: 10,
            overruns: u64::MAX,
            host_calls: calls
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            call_times: calls
                .iter()
                .map(|(name, _)| ((*name).to_owned(), Times::default()))
                .collect(),
            denied: Vec::new(),
        }
    }

    #[test]
    fn what_goes_on_counts_on_and_what_is_gone_is_gone() {
        let totals = Totals::default();
        totals.serve(&load(&["a", "b"]), &Codes::default());
        for check in ["a", "a", "b"] {
            totals.add(usage(check, &[]));
        }
        totals.serve(&load(&["a", "c"]), &Codes::default());
        let counters = totals.counters();
        let ok: Vec<u64> = counters.uses.values().map(|one| one.outcomes.ok).collect();
        assert_eq!(ok, [4, 0]);
    }

    #[test]
    fn a_worker_that_lies_adds_no_series() {
        let totals = Totals::default();
        totals.serve(&load(&["a"]), &Codes::default());
        totals.add(usage("unknown", &[]));
        totals.log_dropped("unknown", 1);
        totals.report("unknown", &[]);
        let many: Vec<String> = (0..1000).map(|n| "x".repeat(n % 40)).collect();
        for name in many {
            totals.add(usage(
                "a",
                &[(&name, 1), ("process", u64::MAX), ("a\"b", 1)],
            ));
        }
        let odd = |n: u32| {
            let letters = [n / 26 % 26, n % 26].map(|n| char::from(b'a' + n as u8));
            letters.iter().collect::<String>()
        };
        for n in 0..600 {
            totals.add(usage("a", &[(&odd(n), 1)]));
        }
        let counters = totals.counters();
        assert_eq!((counters.uses.len(), counters.plugins.len()), (1, 1));
        let counted = counters.uses.values().next().unwrap();
        assert_eq!(counted.host_calls.len(), INTERFACES);
        assert_eq!(counted.call_times.len(), INTERFACES);
        assert_eq!(counted.host_calls["process"], u64::MAX);
        assert_eq!(counted.overruns, u64::MAX);
    }
}
