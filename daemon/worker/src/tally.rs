//! What one run did: counted beside the run, so that it is known even when the run is cut off.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use mainstay_protocol::Times;

/// Kinds of denied calls that are kept; a guest can make up as many as it likes.
const DENIED: usize = 64;

/// The counts of one run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    memory_peak: AtomicU64,
    memory_refused: AtomicBool,
    table_refused: AtomicBool,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    call_times: Mutex<BTreeMap<&'static str, Times>>,
    denied: Mutex<BTreeMap<String, String>>,
    denials: Mutex<BTreeMap<&'static str, u64>>,
    instantiated_in: OnceLock<Duration>,
}

impl Tally {
    /// Counts a call of `interface.function`, which lasts until the answer is dropped: when the host
    /// is done, or the run is cut off.
    pub(crate) fn call(self: &Arc<Self>, function: &'static str) -> Call {
        *lock(&self.calls).entry(function).or_default() += 1;
        Call {
            tally: self.clone(),
            interface: interface(function),
            began: Instant::now(),
        }
    }

    /// Notes how long instantiation took.
    pub(crate) fn instantiated(&self, took: Duration) {
        // Once a run: there is nothing to lose.
        let _ = self.instantiated_in.set(took);
    }

    /// How long instantiation took, when it was done.
    pub(crate) fn instantiated_in(&self) -> Option<Duration> {
        self.instantiated_in.get().copied()
    }

    /// Adds the host calls by interface.
    pub(crate) fn add_calls(&self, to: &mut BTreeMap<&'static str, u64>) {
        for (function, count) in lock(&self.calls).iter() {
            *to.entry(interface(function)).or_default() += count;
        }
    }

    /// Adds how long the host took for calls, by interface.
    pub(crate) fn add_call_times(&self, to: &mut BTreeMap<&'static str, Times>) {
        for (interface, times) in lock(&self.call_times).iter() {
            to.entry(interface).or_default().merge(times);
        }
    }

    /// Adds the denied calls by interface, each as often as it was made.
    pub(crate) fn add_denials(&self, to: &mut BTreeMap<&'static str, u64>) {
        for (interface, count) in lock(&self.denials).iter() {
            *to.entry(interface).or_default() += count;
        }
    }

    /// Notes a call that was denied, with the line of the configuration that would grant it.
    pub(crate) fn deny(&self, call: String, line: String) {
        let known = lock(&self.calls)
            .keys()
            .map(|name| interface(name))
            .find(|name| {
                call.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('.'))
            });
        if let Some(interface) = known {
            *lock(&self.denials).entry(interface).or_default() += 1;
        }
        let mut denied = lock(&self.denied);
        if denied.len() < DENIED || denied.contains_key(&call) {
            denied.insert(call, line);
        }
    }

    /// Notes the bytes now in memories and tables.
    pub(crate) fn memory_in_use(&self, bytes: usize) {
        self.memory_peak.fetch_max(bytes as u64, Relaxed);
    }

    /// Notes that the instance wanted more than it may have.
    pub(crate) fn memory_refused(&self) {
        self.memory_refused.store(true, Relaxed);
    }

    /// Notes that a table was to have more elements than one may have.
    pub(crate) fn table_refused(&self) {
        self.table_refused.store(true, Relaxed);
    }

    /// Whether that was refused.
    #[must_use]
    pub(crate) fn met_table_limit(&self) -> bool {
        self.table_refused.load(Relaxed)
    }

    /// Peak of the bytes in memories and tables.
    #[must_use]
    pub(crate) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Relaxed)
    }

    /// Whether a growth was refused.
    #[must_use]
    pub(crate) fn met_memory_limit(&self) -> bool {
        self.memory_refused.load(Relaxed)
    }

    /// Host calls by `interface.function`.
    #[must_use]
    pub(crate) fn calls(&self) -> Vec<(String, u64)> {
        let calls = lock(&self.calls);
        calls
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    }

    /// Denied calls, each with the line that would grant it.
    #[must_use]
    pub(crate) fn denied(&self) -> Vec<(String, String)> {
        lock(&self.denied).clone().into_iter().collect()
    }
}

/// A call of the host that goes on.
#[derive(Debug)]
#[must_use]
pub(crate) struct Call {
    tally: Arc<Tally>,
    interface: &'static str,
    began: Instant,
}

impl Drop for Call {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_micros();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        let mut times = lock(&self.tally.call_times);
        times.entry(self.interface).or_default().add(took);
    }
}

/// The interface of a function that is named `interface.function`.
fn interface(function: &'static str) -> &'static str {
    function.split('.').next().unwrap_or(function)
}

/// A counter is whole even if a thread panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
