//! `mainstay run`: the daemon, in the foreground.

use std::process::ExitCode;
use std::sync::Arc;

use crate::config;
use crate::control::RuntimeDirError;
use crate::exit;
use crate::logging::Logging;
use crate::manifest::ManifestError;
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
        tracing::warn!("{warning:#}");
    }
    run::run(options, config, &logging).unwrap_or_else(|error| {
        let (code, message) = end(&error);
        tracing::error!("{message}");
        ExitCode::from(code)
    })
}

/// The exit code after an error, and what is said of it.
fn end(error: &anyhow::Error) -> (u8, String) {
    let held = matches!(error.downcast_ref(), Some(ManifestError::Held { .. }));
    let otherwise = match held || error.is::<RuntimeDirError>() {
        true => exit::UNAVAILABLE,
        false => exit::SOFTWARE,
    };
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors name their cause themselves.
        if !message.ends_with(&cause) {
            let separator = if message.is_empty() { "" } else { ": " };
            message.extend([separator, &cause]);
        }
    }
    let code = exit::by_cause(error.as_ref(), otherwise);
    if code == exit::NOT_PERMITTED {
        message += "; run it as root, or as a user with CAP_NET_ADMIN and CAP_NET_RAW who may \
                    write to --runtime-dir and --state-dir";
    }
    (code, message)
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[test]
    fn a_missing_right_is_said_once_with_its_file_and_its_own_code() {
        let denied = || io::Error::from_raw_os_error(nix::libc::EACCES);
        let advice = "; run it as root, or as a user with CAP_NET_ADMIN and CAP_NET_RAW who may \
                      write to --runtime-dir and --state-dir";
        let file = anyhow::Error::from(ManifestError::Io {
            path: "/state/manifest.json".into(),
            source: denied(),
        });
        let directory = anyhow::Error::from(RuntimeDirError::Io {
            path: "/run/mainstay".into(),
            source: denied(),
        });
        let socket: anyhow::Result<()> = Err(denied()).context("no socket");
        for (error, message) in [
            (
                file,
                "/state/manifest.json: Permission denied (os error 13)",
            ),
            (
                directory,
                "the runtime directory /run/mainstay can't be used: Permission denied (os error 13)",
            ),
            (
                socket.unwrap_err(),
                "no socket: Permission denied (os error 13)",
            ),
        ] {
            let expected = (exit::NOT_PERMITTED, format!("{message}{advice}"));
            assert_eq!(end(&error), expected);
        }
    }

    #[test]
    fn other_errors_keep_their_code() {
        let path = || "/x".into();
        let running = anyhow::Error::from(RuntimeDirError::Held { path: path() });
        assert_eq!(end(&running).0, exit::UNAVAILABLE);
        let held = anyhow::Error::from(ManifestError::Held { path: path() });
        assert_eq!(end(&held).0, exit::UNAVAILABLE);
        let other = anyhow::anyhow!("one").context("two");
        assert_eq!(end(&other), (exit::SOFTWARE, "two: one".to_owned()));
    }
}
