//! `mainstay release`: removes from the kernel what the manifest lists as ours.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use mainstay_kernel::route::{self, Outcome, Removal};

use super::{Failure, print};
use crate::control::{RuntimeDir, RuntimeDirError};
use crate::exit;
use crate::manifest::{Manifest, ManifestError, Place};

/// Removes what a daemon that no longer runs has left, and takes it out of the manifest.
pub(crate) fn release(runtime_dir: &Path, state_dir: &Path) -> Result<ExitCode, Failure> {
    // Held until the end, so that no daemon starts meanwhile and loses what it adds.
    let _held = RuntimeDir::take(runtime_dir).map_err(|error| {
        let code = match error {
            RuntimeDirError::Held { .. } => exit::UNAVAILABLE,
            RuntimeDirError::Io { .. } => exit::by_cause(&error, exit::IO),
        };
        Failure::new(code, error)
    })?;
    let place = Place::here()
        .map_err(|error| Failure::new(exit::IO, format!("where this is can't be told: {error}")))?;
    let failed =
        |error: ManifestError| Failure::new(exit::by_cause(&error, error.exit_code()), error);
    let mut manifest = Manifest::open(state_dir, place).map_err(failed)?;
    let listed = manifest.addresses();
    if listed.is_empty() {
        return print("nothing to release\n");
    }
    let removals = remove(&listed)?;
    let kept = removals.iter().filter_map(|removal| match removal.outcome {
        Outcome::Failed(_) => Some((removal.interface.clone(), removal.prefix)),
        Outcome::Removed | Outcome::Absent | Outcome::NotOurs => None,
    });
    manifest.shrink_to(kept).map_err(failed)?;
    print(&render(&removals))?;
    let still_there = |removal: &Removal| matches!(removal.outcome, Outcome::Failed(_));
    if removals.iter().any(still_there) {
        return Err(Failure::new(
            exit::SOFTWARE,
            "some addresses are still there: remove them by hand, or try again",
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(listed: &[(String, mainstay_core::address::Prefix)]) -> Result<Vec<Removal>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, format!("no event loop: {error}")))?;
    runtime
        .block_on(route::remove_listed(listed))
        .map_err(|error| Failure::new(exit::UNAVAILABLE, format!("nothing released: {error}")))
}

fn render(removals: &[Removal]) -> String {
    let mut text = String::new();
    for removal in removals {
        let outcome = match &removal.outcome {
            Outcome::Removed => "removed".to_owned(),
            Outcome::Absent => "was not there".to_owned(),
            Outcome::NotOurs => "left alone: somebody else put it there".to_owned(),
            Outcome::Failed(failure) => format!("still there: {failure}"),
        };
        let _ = writeln!(
            text,
            "{} on {}: {outcome}",
            removal.prefix, removal.interface
        );
    }
    text
}
