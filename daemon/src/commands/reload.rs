//! `mainstay reload`: the daemon reads its configuration again, and this waits for the outcome.

use std::path::Path;
use std::process::ExitCode;

use super::{Failure, ask, misunderstood, print};
use crate::control::{Request, Response};
use crate::exit;

/// Reloads. A configuration that is not valid is a failure, and the one in force stays.
pub(crate) fn reload(runtime_dir: &Path) -> Result<ExitCode, Failure> {
    match ask(runtime_dir, &Request::Reload, exit::CONFIG)? {
        Response::Reloaded { warnings } => {
            for warning in warnings {
                eprintln!("{warning}");
            }
            print("reloaded\n")
        }
        _ => Err(misunderstood()),
    }
}
