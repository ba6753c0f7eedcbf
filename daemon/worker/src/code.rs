//! Code that the daemon passes on, mapped into this process.
#![expect(
    unsafe_code,
    reason = "wasmtime cannot tell code from what only looks like it; the daemon can"
)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mainstay_protocol::{Sealed, SealedError};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Maps the code behind a descriptor. Pages of it are read when they are first run, and shared with
/// every other worker that runs the same.
///
/// # Errors
/// [`CodeError`]: whoever holds the descriptor could still change it, or it is not code for this
/// engine.
pub(crate) fn load(engine: &Engine, descriptor: OwnedFd) -> Result<Component, CodeError> {
    let sealed = Sealed::try_from(descriptor)?;
    let path = format!("/proc/self/fd/{}", sealed.as_fd().as_raw_fd());
    // SAFETY: the bytes were made by `precompile_component` in a worker that the daemon started, or
    // carry the daemon's own authentication code since then; that is checked by the daemon, whose
    // word this process takes for everything. The seals keep them from being changed afterwards.
    // Whoever could still forge them gains what the code of a plugin can gain in this process, which
    // is confined for that reason.
    unsafe { Component::deserialize_file(engine, path) }.map_err(CodeError::Foreign)
}

/// Why code cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// It is not final.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// It was made for another engine, or is no code.
    #[error("it is not code for this engine: {0}")]
    Foreign(wasmtime::Error),
}
