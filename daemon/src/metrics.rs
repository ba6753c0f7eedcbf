//! Metrics: what is counted of plugins over the workers that come and go, and the text of it, for
//! `mainstay metrics` and for whoever scrapes.

mod http;
mod plugin_metric;
mod text;
mod totals;

pub(crate) use http::serve;
pub(crate) use text::{Snapshot, text};
pub(crate) use totals::Totals;
