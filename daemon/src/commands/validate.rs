//! `mainstay validate`: everything that `run` would check, with no side effect.

use std::path::Path;
use std::process::ExitCode;

use super::{Failure, print};
use crate::config::{self, Config, Problem, Severity};
use crate::exit;
use crate::worker::{LoadError, Source, load_once};

/// Reads the configuration, and loads its plugins in a worker that `worker` names: only when there
/// are plugins is one needed.
pub(crate) fn validate(
    file: &Path,
    reading: &config::Options,
    worker: impl FnOnce() -> Result<Source, Failure>,
) -> Result<ExitCode, Failure> {
    let (config, mut problems) = config::examine(file, reading);
    let Some(config) = config else {
        return Err(Failure::of_problems(problems));
    };
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    // Also after a fault of the file, so that one call names all that is wrong.
    match faults(&config, worker) {
        Ok(found) => {
            let (warnings, faults): (Vec<_>, Vec<_>) = found
                .into_iter()
                .partition(|problem| problem.severity == Severity::Warning && !reading.strict);
            for warning in warnings {
                eprintln!("{warning}");
            }
            problems.extend(faults);
        }
        Err(failure) if problems.is_empty() => return Err(failure),
        Err(failure) => {
            failure.report();
        }
    }
    if !problems.is_empty() {
        return Err(Failure::of_problems(problems));
    }
    print(&format!(
        "{}: valid; routers: {}, checks: {}, hooks: {}\n",
        file.display(),
        config.settings.routers.len(),
        config.plan.load.checks.len(),
        config.plan.load.hooks.len(),
    ))
}

/// What the worker finds wrong with the plugins and their settings.
fn faults(
    config: &Config,
    worker: impl FnOnce() -> Result<Source, Failure>,
) -> Result<Vec<Problem>, Failure> {
    if config.plan.load.plugins.is_empty() {
        return Ok(Vec::new());
    }
    match load_once(&worker()?, &config.plan) {
        Ok(loaded) => Ok(config.unmet(&loaded.plugins)),
        Err(LoadError::Faults(faults)) => {
            Ok(faults.iter().map(|fault| config.locate(fault)).collect())
        }
        Err(LoadError::Start(error)) => Err(Failure::new(
            exit::UNAVAILABLE,
            format!("the plugins could not be loaded, since the plugin worker failed: {error}"),
        )),
    }
}
