//! `mainstay metrics`: what is counted, as OpenMetrics text.

use std::path::Path;
use std::process::ExitCode;

use super::{Failure, ask, misunderstood, print};
use crate::control::{Request, Response};
use crate::exit;

/// Prints the metrics of the daemon of this runtime directory.
pub(crate) fn metrics(runtime_dir: &Path) -> Result<ExitCode, Failure> {
    match ask(runtime_dir, &Request::Metrics, exit::UNAVAILABLE)? {
        Response::Metrics(text) => print(&text),
        _ => Err(misunderstood()),
    }
}
