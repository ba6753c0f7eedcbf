//! Configurations of the benches.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use mainstay_lab::lab::INTERFACE;
use mainstay_lab::mainstay;
use mainstay_lab::node::Node;

/// So many checks of a plugin that a configuration has.
pub(crate) fn checks(
    text: &mut String,
    number: u32,
    plugin: &str,
    settings: &str,
    interval_ms: u32,
) {
    for number in 0..number {
        let _ = write!(
            text,
            "[[check]]\nname = \"{plugin}-{number}\"\nplugin = \"{plugin}\"\nsettings = {{ {settings} }}\n\
             interval = \"{interval_ms}ms\"\n\n"
        );
    }
}

/// The plugin of the lab's guest, under a name of its own.
pub(crate) fn guest(text: &mut String, name: &str) {
    let file = mainstay::misbehaving();
    let _ = write!(text, "[[plugin]]\nname = \"{name}\"\nfile = {file:?}\n\n");
}

/// A virtual router that tracks nothing.
pub(crate) fn router(text: &mut String, advert_interval_ms: u32) {
    let _ = write!(
        text,
        "[[router]]\nname = \"VI_1\"\ninterface = \"{INTERFACE}\"\nid = 51\npriority = 100\n\
         advert-interval = \"{advert_interval_ms}ms\"\naddresses = [\"192.168.1.100/24\"]\n"
    );
}

/// Runs of all checks so far whose names begin like this.
pub(crate) fn runs(node: &Node, prefix: &str) -> Result<u64> {
    let status = node.status()?;
    let checks = status["checks"].as_array().context("no checks")?;
    let named = checks.iter().filter(|check| {
        let name = check["name"].as_str();
        name.is_some_and(|name| name.starts_with(prefix))
    });
    Ok(named.filter_map(|check| check["runs"].as_u64()).sum())
}

/// The value below which this share of the sorted ones is.
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    let index = (last as f64 * share).round() as usize;
    sorted.get(index.min(last)).copied()
}
