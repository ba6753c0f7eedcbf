//! A plugin's answer, cut to the limits of the contract.

use mainstay_protocol::{Metric, Report, Status, WeightChange};

use crate::bindings::check;
use crate::bindings::common::{self, MetricKind};
use crate::text::{is_key, one_line};

/// The longest message, in bytes.
const MESSAGE: usize = 512;
/// Metrics kept.
const METRICS: usize = 32;
/// Labels of a metric kept.
const LABELS: usize = 8;
/// The longest value of a label, in bytes.
const LABEL: usize = 128;
/// The largest state that is carried to the next run, in bytes.
const CARRY: usize = 4096;
/// The largest weight of a real server, and so the largest change of one.
const WEIGHT: u16 = u16::MAX;

/// The report for the daemon. Metrics without a name of the contract or a finite value are left
/// out.
#[must_use]
pub(crate) fn clamp(report: &check::Report) -> Report {
    Report {
        status: match report.status {
            check::Status::Healthy => Status::Healthy,
            check::Status::Degraded => Status::Degraded,
            check::Status::Unhealthy => Status::Unhealthy,
        },
        weight: match report.weight {
            check::WeightChange::Unchanged => WeightChange::Unchanged,
            check::WeightChange::Set(weight) => WeightChange::Set(weight.min(WEIGHT.into())),
            check::WeightChange::Offset(change) => {
                WeightChange::Offset(change.clamp(-i32::from(WEIGHT), WEIGHT.into()))
            }
        },
        message: one_line(&report.message, MESSAGE),
        metrics: report
            .metrics
            .iter()
            .filter(|metric| metric.value.is_finite() && is_key(&metric.name))
            .take(METRICS)
            .map(clamp_metric)
            .collect(),
    }
}

fn clamp_metric(metric: &common::Metric) -> Metric {
    Metric {
        name: metric.name.clone(),
        counter: metric.kind == MetricKind::Counter,
        value: metric.value,
        labels: metric
            .labels
            .iter()
            .filter(|label| is_key(&label.key))
            .take(LABELS)
            .map(|label| (label.key.clone(), one_line(&label.value, LABEL)))
            .collect(),
    }
}

/// The state for the next run. One that is too large is not cut but left out: half a state is
/// worse than none.
///
/// # Errors
/// Its size when it is too large.
pub(crate) fn carry(report: check::Report) -> Result<Option<Vec<u8>>, usize> {
    match report.carry {
        Some(carry) if carry.len() > CARRY => Err(carry.len()),
        carry => Ok(carry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::common::{Attribute, Metric};

    fn report() -> check::Report {
        check::Report {
            status: check::Status::Healthy,
            weight: check::WeightChange::Unchanged,
            message: String::new(),
            metrics: Vec::new(),
            carry: None,
            attributes: Vec::new(),
        }
    }

    fn metric(name: &str, value: f64) -> Metric {
        Metric {
            name: name.into(),
            kind: MetricKind::Gauge,
            value,
            labels: Vec::new(),
        }
    }

    #[test]
    fn t08_an_answer_is_cut_to_the_limits() {
        let mut raw = report();
        raw.message = "é\n".repeat(400);
        raw.weight = check::WeightChange::Offset(i32::MIN);
        raw.metrics = (0..40).map(|n| metric(&format!("m{n}"), 1.0)).collect();
        let report = clamp(&raw);
        assert!(report.message.len() <= MESSAGE);
        assert!(report.message.len() > MESSAGE - 4);
        assert!(!report.message.contains('\n'));
        assert_eq!(report.weight, WeightChange::Offset(-65535));
        assert_eq!(report.metrics.len(), METRICS);
        raw.weight = check::WeightChange::Set(u32::MAX);
        assert_eq!(clamp(&raw).weight, WeightChange::Set(65535));
    }

    #[test]
    fn t08_metrics_that_no_one_could_store_are_left_out() {
        let mut raw = report();
        raw.metrics = vec![
            metric("nan", f64::NAN),
            metric("inf", f64::INFINITY),
            metric("A", 1.0),
            metric("ok", 2.0),
        ];
        let kept = clamp(&raw).metrics;
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].name.as_str(), kept[0].value), ("ok", 2.0));
    }

    #[test]
    fn a_metric_keeps_its_kind_and_eight_labels() {
        let label = |key: &str| Attribute {
            key: key.into(),
            value: "x\n".repeat(100),
        };
        let mut raw = report();
        let labels = (0..10).map(|n| label(&format!("l{n}")));
        raw.metrics = vec![Metric {
            kind: MetricKind::Counter,
            labels: [label("Not a key")].into_iter().chain(labels).collect(),
            ..metric("lag", 1.0)
        }];
        let kept = clamp(&raw).metrics.remove(0);
        assert!(kept.counter);
        assert_eq!(kept.labels.len(), LABELS);
        assert_eq!(kept.labels[0].0, "l0");
        assert!(kept.labels[0].1.len() <= LABEL);
        assert!(!kept.labels[0].1.contains('\n'));
    }

    #[test]
    fn a_state_over_the_limit_is_left_out_whole() {
        let mut raw = report();
        raw.carry = Some(vec![0; CARRY]);
        assert_eq!(carry(raw.clone()).unwrap().unwrap().len(), CARRY);
        raw.carry = Some(vec![0; CARRY + 1]);
        assert_eq!(carry(raw), Err(CARRY + 1));
    }
}
