//! `mainstay run`: the daemon, in the foreground.

use std::process::ExitCode;
use std::sync::Arc;

use crate::config;
use crate::control::RuntimeDirError;
use crate::exit;
use crate::logging::Logging;
use crate::run::{self, RunOptions};

/// Runs the daemon until it is told to stop.
pub(crate) fn run(options: &RunOptions, filter: Option<&str>) -> ExitCode {
    let config = match config::load(&options.config, &options.reading) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            return ExitCode::from(exit::CONFIG);
        }
    };
    let logging = match Logging::start(filter) {
        Ok(logging) => Arc::new(logging),
        Err(error) => {
            eprintln!("mainstay: {error}");
            return ExitCode::from(exit::USAGE);
        }
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    run::run(options, config, &logging).unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::from(match error.is::<RuntimeDirError>() {
            true => exit::UNAVAILABLE,
            false => exit::SOFTWARE,
        })
    })
}
