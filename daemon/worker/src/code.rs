//! Code that the daemon passes on, mapped into this process.
#![expect(
    unsafe_code,
    reason = "wasmtime cannot tell code from what only looks like it; the daemon can"
)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mainstay_protocol::{Sealed, SealedError};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The code of a component.
pub(crate) struct Code {
    sealed: Sealed,
    /// Mapped for the engine of all plugins.
    pub(crate) component: Component,
}

impl Code {
    /// Maps the code behind a descriptor.
    ///
    /// # Errors
    /// [`CodeError`]: whoever holds the descriptor could still change it, or it is not code for this
    /// engine.
    pub(crate) fn new(engine: &Engine, descriptor: OwnedFd) -> Result<Self, CodeError> {
        let sealed = Sealed::try_from(descriptor)?;
        let component = map(engine, &sealed).map_err(CodeError::Foreign)?;
        Ok(Self { sealed, component })
    }

    /// Bytes of it.
    pub(crate) fn length(&self) -> u64 {
        self.sealed.length()
    }

    /// Maps it once more, for another engine.
    ///
    /// # Errors
    /// When it does not fit that engine.
    pub(crate) fn map(&self, engine: &Engine) -> wasmtime::Result<Component> {
        map(engine, &self.sealed)
    }
}

/// Pages are read when they are first run, and shared with every other worker that runs the same.
fn map(engine: &Engine, sealed: &Sealed) -> wasmtime::Result<Component> {
    let path = format!("/proc/self/fd/{}", sealed.as_fd().as_raw_fd());
    // SAFETY: the bytes were made by `precompile_component` in a worker that the daemon started, or
    // carry the daemon's own authentication code since then; that is checked by the daemon, whose
    // word this process takes for everything. The seals keep them from being changed afterwards.
    // Whoever could still forge them gains what the code of a plugin can gain in this process, which
    // is confined for that reason.
    unsafe { Component::deserialize_file(engine, path) }
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
