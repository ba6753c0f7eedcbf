//! Which files and directories are taken for our own.
//!
//! Cached code becomes code that runs, and the key says which is ours: nobody but this user and
//! root may be able to write either, nor rename what is above them.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fchown, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Bits that let others than the owner write.
const OTHERS: Mode = Mode::WGRP.union(Mode::WOTH);

/// Opens a directory that only this user and root can change, with everything above it.
///
/// # Errors
/// [`TrustError`] with the path that others can change.
pub(super) fn directory(path: &Path) -> Result<OwnedFd, TrustError> {
    let path = fs::canonicalize(path).map_err(|error| TrustError::Io(path.into(), error))?;
    let mut handle = open(CWD.as_fd(), Path::new("/"), Path::new("/"), OFlags::PATH)?;
    let owner = owner_of(&path)?;
    let mut at = PathBuf::from("/");
    for element in path.components().skip(1) {
        let element = Path::new(element.as_os_str());
        at.push(element);
        // What is above may be searched and not be listed.
        let last = at == path;
        let how = if last { OFlags::RDONLY } else { OFlags::PATH };
        handle = open(handle.as_fd(), element, &at, how)?;
        let stat = fstat(&handle).map_err(|error| failed(&at, error))?;
        if !owned(&stat, owner) {
            return Err(TrustError::Owner(at));
        }
        let mode = Mode::from_raw_mode(stat.st_mode);
        // In a sticky directory, such as /tmp, nobody renames another's.
        if mode.intersects(OTHERS) && (last || !mode.contains(Mode::SVTX)) {
            return Err(TrustError::Writable(at));
        }
    }
    Ok(handle)
}

/// Whether an opened file is a regular one that only the owner of `directory` and root can write.
///
/// # Errors
/// As [`directory`]; `path` is for the message.
pub(super) fn file(directory: impl AsFd, file: impl AsFd, path: &Path) -> Result<Stat, TrustError> {
    let parent = fstat(directory).map_err(|error| failed(path, error))?;
    let stat = fstat(file).map_err(|error| failed(path, error))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(TrustError::NotAFile(path.into()));
    }
    if !owned(&stat, parent.st_uid) {
        return Err(TrustError::Owner(path.into()));
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(OTHERS) {
        return Err(TrustError::Writable(path.into()));
    }
    Ok(stat)
}

/// Makes a file that belongs to the owner of its directory: root works for the daemon's user here.
pub(super) fn create(directory: BorrowedFd<'_>, name: &str, mode: Mode) -> io::Result<File> {
    let _ = unlinkat(directory, name, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, mode)?;
    if geteuid().is_root() {
        let owner = fstat(directory)?;
        let user = rustix::fs::Uid::from_raw(owner.st_uid);
        let group = rustix::fs::Gid::from_raw(owner.st_gid);
        fchown(&file, Some(user), Some(group))?;
    }
    Ok(File::from(file))
}

/// Who may own what leads to a directory, besides root: this user, and for root the directory's
/// own owner, as whom the daemon runs.
fn owner_of(path: &Path) -> Result<u32, TrustError> {
    let user = geteuid();
    if !user.is_root() {
        return Ok(user.as_raw());
    }
    let stat = rustix::fs::stat(path).map_err(|error| failed(path, error))?;
    Ok(stat.st_uid)
}

fn owned(stat: &Stat, owner: u32) -> bool {
    stat.st_uid == 0 || stat.st_uid == owner
}

fn open(
    parent: impl AsFd,
    element: &Path,
    path: &Path,
    how: OFlags,
) -> Result<OwnedFd, TrustError> {
    let flags = how | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, element, flags, Mode::empty()).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: Errno) -> TrustError {
    TrustError::Io(path.into(), error.into())
}

/// Why something is not taken for our own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// It belongs to somebody else.
    #[error("{0} belongs to another user")]
    Owner(PathBuf),
    /// Others may write it.
    #[error("{0} can be written by others: chmod go-w {0}")]
    Writable(PathBuf),
    /// It is something else than a file.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// The system could not look at it.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}
