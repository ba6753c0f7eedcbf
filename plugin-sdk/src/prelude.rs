//! What most plugins need: `use mainstay_plugin::prelude::*;`.

pub use crate::check::{Check, Report, Request, Status, Target, WeightChange};
pub use crate::hook::{Event, Hook, Payload, RouterTransition};
pub use crate::lifecycle::{Problem, Wish};
pub use crate::process::Selector;
pub use crate::{
    Endpoint, NoSettings, PluginError, Result, Span, budget, http, log, probe, process, settings,
};
