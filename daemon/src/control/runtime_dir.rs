//! The runtime directory, held by one daemon at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// A runtime directory that this process holds until the value is dropped.
///
/// The lock is the kernel's, on a file that is never removed: a daemon that died holds nothing,
/// whatever it left in the directory.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

impl RuntimeDir {
    /// Makes the directory (mode 0750) where it is missing, and takes it.
    ///
    /// # Errors
    /// [`RuntimeDirError::Held`] when another daemon has it, [`RuntimeDirError::Io`] when it can't
    /// be made or written to.
    pub(crate) fn take(path: &Path) -> Result<Self, RuntimeDirError> {
        let io = |source| RuntimeDirError::Io {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(path)
            .map_err(io)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path.join("lock"))
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(RuntimeDirError::Held {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Why the runtime directory is not ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeDirError {
    /// Another daemon runs on it.
    #[error(
        "another daemon runs on {path}: stop it, or give this one a directory of its own with \
         --runtime-dir",
        path = path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
    },
    /// It can't be made or written to.
    #[error("the runtime directory {path} can't be used: {source}", path = path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
