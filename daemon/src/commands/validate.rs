//! `mainstay validate`: everything that `run` would check, with no side effect.

use std::path::Path;
use std::process::ExitCode;

use super::{Failure, print};
use crate::config;
use crate::worker::{Source, load_once};

/// Reads the configuration, and loads its plugins in a worker that `worker` names: only when there
/// are plugins is one needed.
pub(crate) fn validate(
    file: &Path,
    reading: &config::Options,
    worker: impl FnOnce() -> Result<Source, Failure>,
) -> Result<ExitCode, Failure> {
    let config = config::load(file, reading).map_err(|problems| Failure::of_problems(&problems))?;
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    if !config.load.plugins.is_empty() {
        load_once(&worker()?, &config.load).map_err(|error| Failure::of_load(error, &config))?;
    }
    print(&format!(
        "{}: valid; routers: {}, checks: {}, hooks: {}\n",
        file.display(),
        config.settings.routers.len(),
        config.load.checks.len(),
        config.load.hooks.len(),
    ))
}
