//! The text of the metrics, in the format of OpenMetrics 1.0.

use std::fmt;

use mainstay_core::event::RouterState;
use mainstay_core::status::Status;
use mainstay_protocol::{TIME_BOUNDS_US, Times};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::plugin_metric;
use super::totals::{Counters, Instance, Use};
use crate::config;
use crate::worker::WorkerStatus;

/// What there is to show at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The routers and checks.
    pub(crate) engine: Status,
    /// The worker and its plugins.
    pub(crate) worker: WorkerStatus,
    /// What was counted of the plugins.
    pub(crate) counters: Counters,
}

/// The text of a snapshot.
pub(crate) fn text(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(&mut encoder);
        self.routers(&mut out)?;
        self.checks(&mut out)?;
        self.runs(&mut out)?;
        self.plugins(&mut out)?;
        self.reports(&mut out)
    }
}

impl Snapshot {
    fn routers(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let routers = &self.engine.routers;
        let states = [
            RouterState::Initialize,
            RouterState::Backup,
            RouterState::Active,
            RouterState::Fault,
        ]
        .map(|state| (state, state.to_string()));
        let each = routers.iter().flat_map(|router| {
            states.iter().map(move |(state, name)| {
                let labels = vec![
                    ("router", router.name.as_str()),
                    ("interface", router.interface.as_str()),
                    ("state", name.as_str()),
                ];
                (labels, u64::from(router.state == *state))
            })
        });
        out.gauges(
            "mainstay_router_state",
            "1 for the state that a router is in",
            each,
        )?;
        let router = |name| vec![("router", name)];
        out.gauges(
            "mainstay_router_priority",
            "Effective priority",
            routers
                .iter()
                .map(|r| (router(r.name.as_str()), u64::from(r.priority.effective))),
        )?;
        out.counters(
            "mainstay_router_became_active",
            "Transitions to active",
            routers
                .iter()
                .map(|r| (router(r.name.as_str()), r.counters.became_active)),
        )?;
        out.counters(
            "mainstay_router_advertisements_sent",
            "Advertisements sent",
            routers
                .iter()
                .map(|r| (router(r.name.as_str()), r.counters.sent)),
        )?;
        out.counters(
            "mainstay_router_advertisements_received",
            "Valid advertisements received",
            routers
                .iter()
                .map(|r| (router(r.name.as_str()), r.counters.received)),
        )?;
        out.counters(
            "mainstay_router_packets_rejected",
            "Packets rejected, by reason",
            routers.iter().flat_map(|r| {
                let rejected = r.counters.rejected.iter();
                rejected.map(|(reason, count)| {
                    let labels = vec![("router", r.name.as_str()), ("reason", reason.as_str())];
                    (labels, *count)
                })
            }),
        )
    }

    fn checks(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        out.gauges(
            "mainstay_check_in_service",
            "Whether a check counts as in service",
            self.engine.checks.iter().map(|check| {
                let labels = vec![("check", check.name.as_str()), ("plugin", &check.plugin)];
                (labels, u64::from(check.in_service))
            }),
        )
    }

    /// Of each check and hook, what its runs came to.
    fn runs(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let uses = || {
            self.counters.uses.iter().map(|(instance, used)| {
                let (Instance::Check(name) | Instance::Hook(name)) = instance;
                (of_use(used, name), used)
            })
        };
        out.counters(
            "plugin_runs",
            "Runs, by how they ended",
            uses().flat_map(|(labels, used)| {
                let outcomes = [
                    ("ok", used.outcomes.ok),
                    ("error", used.outcomes.error),
                    ("trap", used.outcomes.trap),
                    ("timeout", used.outcomes.timeout),
                    ("limit", used.outcomes.limit),
                    ("denied", used.outcomes.denied),
                ];
                outcomes.map(|(outcome, count)| (with(&labels, "outcome", outcome), count))
            }),
        )?;
        out.histograms(
            "plugin_run_seconds",
            "Duration of runs, instantiation included",
            uses().map(|(labels, used)| (labels, &used.run)),
        )?;
        out.histograms(
            "plugin_instantiate_seconds",
            "Duration of instantiation",
            uses().map(|(labels, used)| (labels, &used.instantiate)),
        )?;
        out.gauges(
            "plugin_memory_peak_bytes",
            "Largest sum of memories and tables of a run",
            uses().map(|(labels, used)| (labels, used.memory_peak)),
        )?;
        out.counters(
            "plugin_overruns",
            "Runs left out since an earlier one was still going",
            uses().map(|(labels, used)| (labels, used.overruns)),
        )?;
        out.counters(
            "plugin_denied",
            "Calls of the host that were denied",
            uses().flat_map(|(labels, used)| {
                let denied = used.denied.iter();
                denied.map(move |(name, count)| (with(&labels, "capability", name), *count))
            }),
        )?;
        out.counters(
            "plugin_host_calls",
            "Calls of the host",
            uses().flat_map(|(labels, used)| {
                let calls = used.host_calls.iter();
                calls.map(move |(name, count)| (with(&labels, "interface", name), *count))
            }),
        )?;
        out.histograms(
            "plugin_host_call_seconds",
            "Duration of calls of the host, without what a guest waits for in wasi:io/poll",
            uses().flat_map(|(labels, used)| {
                let times = used.call_times.iter();
                times.map(move |(name, times)| (with(&labels, "interface", name), &**times))
            }),
        )
    }

    /// Of each plugin, with the grants and limits that it has: `instance` tells them apart.
    fn plugins(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let plugins = || {
            let plugins = self.counters.plugins.iter();
            plugins.map(|(name, plugin)| (of_plugin(name), plugin))
        };
        out.gauges(
            "plugin_memory_limit_bytes",
            "Limit of the sum of memories and tables of a run",
            plugins().map(|(labels, plugin)| (labels, plugin.memory_limit)),
        )?;
        out.counters(
            "plugin_log_dropped",
            "Lines over the budget of the log",
            plugins().map(|(labels, plugin)| (labels, plugin.log_dropped)),
        )?;
        out.gauges(
            "plugin_compile_seconds",
            "Duration of the last compilation in this process",
            plugins()
                .filter_map(|(labels, plugin)| Some((labels, plugin.compiled_in?.as_secs_f64()))),
        )?;
        out.counters(
            "plugin_cache",
            "Where code came from: the cache, or a compiler since the cache had none or a bad one",
            plugins().flat_map(|(labels, plugin)| {
                let results = [
                    ("hit", plugin.cache.hit),
                    ("miss", plugin.cache.miss),
                    ("rejected", plugin.cache.rejected),
                ];
                results.map(|(result, count)| (with(&labels, "result", result), count))
            }),
        )?;
        out.gauges(
            "plugin_quarantined",
            "Whether a plugin rests because workers died of it",
            self.worker.plugins.keys().map(|name| {
                let rests = self.worker.quarantined.contains(name);
                (of_plugin(name), u64::from(rests))
            }),
        )?;
        out.infos(
            "plugin",
            "What is served",
            self.worker.plugins.iter().map(|(name, served)| {
                let mut labels = of_plugin(name);
                labels.extend([
                    ("version", served.version.as_deref().unwrap_or_default()),
                    ("api", served.api.as_deref().unwrap_or_default()),
                    ("sha256", served.sha256.as_str()),
                ]);
                labels
            }),
        )?;
        out.counters(
            "plugin_worker_restarts",
            "Workers that had to be replaced",
            [(Labels::new(), self.worker.restarts)].into_iter(),
        )
    }

    /// What the plugins themselves report.
    fn reports(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        for (name, family) in &plugin_metric::families(&self.counters) {
            let samples = family.samples.iter().map(|sample| {
                let labels = sample.labels.iter();
                let labels: Labels<'_> = labels.map(|(k, v)| (k.as_str(), v.as_str())).collect();
                (labels, sample.value)
            });
            let help = "Reported by plugins";
            match family.counter {
                true => out.counters(name, help, samples)?,
                false => out.gauges(name, help, samples)?,
            }
        }
        Ok(())
    }
}

fn of_use<'a>(used: &'a Use, name: &'a str) -> Labels<'a> {
    vec![
        ("plugin", config::plugin_name(&used.plugin)),
        ("instance", name),
    ]
}

fn of_plugin(entry: &str) -> Labels<'_> {
    vec![("plugin", config::plugin_name(entry)), ("instance", entry)]
}

fn with<'a>(labels: &Labels<'a>, name: &'a str, value: &'a str) -> Labels<'a> {
    let mut labels = labels.clone();
    labels.push((name, value));
    labels
}

/// Where families go. One without a sample is left out.
struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn family<'a, T>(
        &mut self,
        (name, help, kind): (&str, &str, MetricType),
        samples: impl Iterator<Item = (Labels<'a>, T)>,
        mut write: impl FnMut(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            write(&mut encoder.encode_family(&labels)?, value)?;
        }
        Ok(())
    }

    fn gauges<'a, T: prometheus_client::encoding::EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'a>, T)>,
    ) -> fmt::Result {
        self.family(
            (name, help, MetricType::Gauge),
            samples,
            |encoder, value| encoder.encode_gauge(&value),
        )
    }

    /// The name is without the `_total` that is added.
    fn counters<'a, T: prometheus_client::encoding::EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'a>, T)>,
    ) -> fmt::Result {
        self.family(
            (name, help, MetricType::Counter),
            samples,
            |encoder, value| encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
        )
    }

    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels<'a>, &'a Times)>,
    ) -> fmt::Result {
        let bounds = TIME_BOUNDS_US.map(|us| us as f64 / 1e6);
        self.family(
            (name, help, MetricType::Histogram),
            samples,
            |encoder, times| {
                let bounds = bounds.into_iter().chain([f64::INFINITY]);
                // What the worker counts is anything; the sum of all must not be.
                let counts = times.counts.map(|count| count.min(u64::MAX >> 8));
                let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
                let count = counts.iter().sum();
                let sum = times.sum_us as f64 / 1e6;
                encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            },
        )
    }

    /// The name is without the `_info` that is added.
    fn infos<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = Labels<'a>>,
    ) -> fmt::Result {
        let samples = samples.map(|labels| (Labels::new(), labels));
        self.family(
            (name, help, MetricType::Info),
            samples,
            |encoder, labels| encoder.encode_info(&labels),
        )
    }
}

#[cfg(test)]
mod tests;
