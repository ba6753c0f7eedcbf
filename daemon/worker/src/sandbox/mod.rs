//! The confinement of this process, put on before anything of a plugin is compiled or run.
//!
//! Whoever breaks out of a component finds a process without capabilities that can neither gain
//! any nor start another program, open anything but `/proc` and the granted pid files, signal
//! anyone, or make a socket that is not TCP or UDP.
//!
//! All of it holds per thread and is inherited: [`enter`] must run while there is only one.

mod filesystem;
mod privileges;
mod syscalls;

use std::path::PathBuf;

/// Puts the confinement on, for the rest of the process's life.
///
/// `pid_files` are the files that plugins were granted; what lies beside them becomes readable
/// too, because a service replaces its pid file by a new one.
///
/// Returns what the system refused but the worker can do without, in words: an older kernel has
/// no Landlock, and in a user namespace there may be no other user to become.
///
/// # Errors
/// [`SandboxError`] when capabilities, `no_new_privs`, limits or the filter of system calls cannot
/// be put on. The worker must not go on then.
pub(crate) fn enter(pid_files: &[PathBuf]) -> Result<Vec<String>, SandboxError> {
    let mut missing = Vec::new();
    privileges::limit()?;
    missing.extend(privileges::drop_all()?);
    missing.extend(filesystem::restrict(pid_files));
    syscalls::filter()?;
    Ok(missing)
}

/// Why the confinement could not be put on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A system call failed.
    #[error("cannot {0}")]
    Refused(&'static str, #[source] std::io::Error),
    /// The filter of system calls could not be built or installed.
    #[error("cannot filter system calls")]
    Filter(#[from] seccompiler::Error),
}
