//! Building a [`Report`].

use crate::check::{Report, Status, WeightChange};
use crate::{Attribute, Metric, MetricKind};

impl Report {
    /// In service. `message` is one line for people; at most 512 bytes of it are kept.
    #[must_use]
    pub fn healthy(message: impl Into<String>) -> Self {
        Self::new(Status::Healthy, message)
    }

    /// In service, but people should look; usually with [`with_weight`](Self::with_weight).
    #[must_use]
    pub fn degraded(message: impl Into<String>) -> Self {
        Self::new(Status::Degraded, message)
    }

    /// Out of service.
    #[must_use]
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self::new(Status::Unhealthy, message)
    }

    /// Adds a sample of a value that goes up and down. At most 32 metrics of a report are kept.
    #[must_use]
    pub fn with_metric(self, name: impl Into<String>, value: f64) -> Self {
        self.with_sample(name, MetricKind::Gauge, value)
    }

    /// Adds a sample of a value that only grows.
    #[must_use]
    pub fn with_counter(self, name: impl Into<String>, value: f64) -> Self {
        self.with_sample(name, MetricKind::Counter, value)
    }

    /// Changes the weight of the real server, or the priority of the router, that the check decides about.
    #[must_use]
    pub fn with_weight(mut self, weight: WeightChange) -> Self {
        self.weight = weight;
        self
    }

    /// Hands bytes to the next run, at most 4 KiB.
    #[must_use]
    pub fn with_carry(mut self, carry: impl Into<Vec<u8>>) -> Self {
        self.carry = Some(carry.into());
        self
    }

    /// Adds a labelled value: key `[a-z0-9_.-]{1,64}`, value at most 1 KiB.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            weight: WeightChange::Unchanged,
            message: message.into(),
            metrics: Vec::new(),
            carry: None,
            attributes: Vec::new(),
        }
    }

    fn with_sample(mut self, name: impl Into<String>, kind: MetricKind, value: f64) -> Self {
        self.metrics.push(Metric {
            name: name.into(),
            kind,
            value,
            labels: Vec::new(),
        });
        self
    }
}
