//! Metrics that plugins return, as families that one text can hold.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_protocol::Metric;

use super::totals::{Counters, Instance};
use crate::config::plugin_name;

/// One name, with every sample of it.
#[derive(Debug)]
pub(super) struct Family {
    /// Whether every plugin says that it only grows.
    pub(super) counter: bool,
    pub(super) samples: Vec<Sample>,
}

/// A value with its labels; a name and labels stand for one value.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
}

/// All metrics of the last reports, by the name that they have in the text.
pub(super) fn families(counters: &Counters) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (instance, used) in &counters.uses {
        let Instance::Check(check) = instance else {
            continue;
        };
        let mut seen = BTreeSet::new();
        for metric in used
            .metrics
            .iter()
            .filter(|metric| metric.value.is_finite())
        {
            let Some(name) = name(&metric.name) else {
                continue;
            };
            let labels = labels(&used.plugin, check, metric);
            if !seen.insert((name.clone(), labels.clone())) {
                continue;
            }
            // A counter below zero would be none.
            let counter = metric.counter && metric.value >= 0.0;
            let family = families.entry(name).or_insert(Family {
                counter,
                samples: Vec::new(),
            });
            family.counter &= counter;
            family.samples.push(Sample {
                labels,
                value: metric.value,
            });
        }
    }
    families
}

/// The name in the text: dots and dashes are not allowed there, and `_total` is added to counters.
fn name(name: &str) -> Option<String> {
    let name = plain(name)?;
    let name = name.strip_suffix("_total").unwrap_or(&name);
    (!name.is_empty()).then(|| format!("mainstay_plugin_{name}"))
}

fn labels(plugin: &str, check: &str, metric: &Metric) -> Vec<(String, String)> {
    let mut labels = BTreeMap::new();
    for (key, value) in metric.labels.iter().take(8) {
        // A label that begins with a digit is none.
        if let Some(key) = plain(key).filter(|key| key.starts_with(|c: char| !c.is_ascii_digit())) {
            labels.insert(key, cut(value));
        }
    }
    // Those that say whose it is cannot be forged.
    labels.insert("plugin".to_owned(), plugin_name(plugin).to_owned());
    labels.insert("instance".to_owned(), check.to_owned());
    labels.into_iter().collect()
}

/// A key of the contract with an underscore for what a text cannot hold; none when it is no key.
fn plain(key: &str) -> Option<String> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    let good = (1..=64).contains(&key.len()) && key.chars().all(known);
    good.then(|| key.replace(['.', '-'], "_"))
}

fn cut(value: &str) -> String {
    value[..value.floor_char_boundary(256)].to_owned()
}
