//! What the runs of one check or hook came to, added up between two reports.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use mainstay_protocol::{FaultKind, FromWorker, Outcomes, Subject, Times, Usage};

use crate::context::Context;
use crate::run::Ending;
use crate::tally::lock;

/// From one report to the next.
const REPORT: Duration = Duration::from_secs(5);

/// Counts since the last report.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    outcomes: Outcomes,
    run: Times,
    instantiate: Times,
    memory_peak: u64,
    overruns: u64,
    host_calls: BTreeMap<&'static str, u64>,
    call_times: BTreeMap<&'static str, Times>,
    denied: BTreeMap<&'static str, u64>,
}

impl Meter {
    /// Counts a run.
    pub(crate) fn add(&self, ending: &Ending) {
        let mut counts = lock(&self.0);
        let outcomes = &mut counts.outcomes;
        let outcome = match ending.answer.as_ref().map_err(|fault| fault.kind) {
            Ok(_) => &mut outcomes.ok,
            Err(FaultKind::Trap) => &mut outcomes.trap,
            Err(FaultKind::Timeout) => &mut outcomes.timeout,
            Err(FaultKind::Limit) => &mut outcomes.limit,
            Err(FaultKind::Denied) => &mut outcomes.denied,
            Err(FaultKind::Error | FaultKind::Quarantined) => &mut outcomes.error,
        };
        *outcome += 1;
        counts.run.add(microseconds(ending.took));
        if let Some(took) = ending.tally.instantiated_in() {
            counts.instantiate.add(microseconds(took));
        }
        counts.memory_peak = counts.memory_peak.max(ending.tally.memory_peak());
        let Counts {
            host_calls,
            call_times,
            denied,
            ..
        } = &mut *counts;
        ending.tally.add_calls(host_calls);
        ending.tally.add_call_times(call_times);
        ending.tally.add_denials(denied);
    }

    /// Counts ticks that were left out.
    pub(crate) fn overran(&self, ticks: u32) {
        if ticks > 0 {
            lock(&self.0).overruns += u64::from(ticks);
        }
    }

    /// What there was since the last report, if there was anything.
    fn take(&self, subject: impl FnOnce() -> Subject) -> Option<Usage> {
        let counts = std::mem::take(&mut *lock(&self.0));
        if counts.outcomes == Outcomes::default() && counts.overruns == 0 {
            return None;
        }
        let listed = |counts: BTreeMap<&str, u64>| {
            let counts = counts.into_iter();
            counts
                .map(|(name, count)| (name.to_owned(), count))
                .collect()
        };
        Some(Usage {
            subject: subject(),
            outcomes: counts.outcomes,
            run: counts.run,
            instantiate: counts.instantiate,
            memory_peak: counts.memory_peak,
            overruns: counts.overruns,
            host_calls: listed(counts.host_calls),
            call_times: (counts.call_times.into_iter())
                .map(|(name, times)| (name.to_owned(), times))
                .collect(),
            denied: listed(counts.denied),
        })
    }
}

/// A meter and whose it is.
pub(crate) trait Metered {
    /// The check or hook.
    fn subject(&self) -> Subject;
    /// Its meter.
    fn meter(&self) -> &Meter;
}

/// Reports what there was of all of these, every few seconds, for as long as the worker lives.
pub(crate) async fn report(
    context: std::sync::Arc<Context>,
    metered: Vec<std::sync::Arc<dyn Metered + Send + Sync>>,
) {
    loop {
        tokio::time::sleep(REPORT).await;
        for metered in &metered {
            if let Some(usage) = metered.meter().take(|| metered.subject()) {
                context.outbox.send(&FromWorker::Usage(usage)).await;
            }
        }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
