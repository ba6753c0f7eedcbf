//! The confinement of the plugin worker, put on before anything of a plugin is compiled or run.
//!
//! Whoever breaks out of a component finds a process without capabilities that can neither gain
//! any nor start another program, open anything but `/proc` and the granted files, signal
//! anyone, make a socket that is not TCP or UDP, or take more memory, descriptors and threads than
//! it was given.
//!
//! All of it holds per thread and is inherited: [`enter`] must run while there is only one. A crate
//! of its own, so that a test can run native code in exactly this state.

mod filesystem;
mod privileges;
mod syscalls;

use std::path::PathBuf;

/// What plugins were granted that has to stay open.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    /// Files that can be read; what lies beside them becomes readable too, because a service
    /// replaces its pid file by a new one.
    pub pid_files: Vec<PathBuf>,
    /// Directories that can be read and listed, with all that is beneath them.
    pub directories: Vec<PathBuf>,
    /// Whether guests make sockets of their own: those for datagrams have to be bound. A TCP port
    /// still cannot be, where the kernel knows how to refuse that, and nothing can listen.
    pub sockets: bool,
}

/// Puts the confinement on, for the rest of the process's life.
///
/// `data` is the memory that the process may have for data, in bytes.
///
/// Returns what the system refused but the worker can do without, in words: an older kernel has
/// no Landlock, and in a user namespace there may be no other user to become.
///
/// # Errors
/// [`SandboxError`] when capabilities, `no_new_privs`, limits or the filter of system calls cannot
/// be put on. The worker must not go on then.
pub fn enter(granted: &Granted, data: u64) -> Result<Vec<String>, SandboxError> {
    let mut missing = Vec::new();
    privileges::limit(data)?;
    missing.extend(privileges::go_before_the_daemon());
    missing.extend(privileges::drop_all()?);
    missing.extend(filesystem::restrict(
        &granted.pid_files,
        &granted.directories,
    ));
    syscalls::filter(syscalls::Job::Serve {
        bind: granted.sockets,
    })?;
    Ok(missing)
}

/// How many files of processes may be kept open within the limit that [`enter`] sets: at most 4096.
/// To be asked before it.
#[must_use]
pub fn kept_files() -> usize {
    usize::try_from(privileges::kept_files()).unwrap_or(usize::MAX)
}

/// As [`enter`], for a process that compiles: no file, no socket, and the least of the machine's
/// memory and time. What it writes its code to has to be there already.
///
/// # Errors
/// As [`enter`].
pub fn enter_to_compile() -> Result<Vec<String>, SandboxError> {
    let mut missing = Vec::new();
    privileges::limit_compiler()?;
    missing.extend(privileges::go_before_the_daemon());
    missing.extend(privileges::drop_all()?);
    missing.extend(filesystem::close());
    syscalls::filter(syscalls::Job::Compile)?;
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

#[cfg(test)]
mod tests;
