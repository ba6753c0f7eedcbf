//! Code kept from one start to the next.
//!
//! An entry is a file: a mark, an authentication code, and code. The authentication code is an
//! HMAC-SHA-256 with this machine's key over the digest of the component, the engine and the code,
//! so that no other file, and no other file's place, is ever taken for it. What is authenticated is
//! a sealed copy in memory, and that copy is what runs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use mainstay_protocol::{CODE_LIMIT, Sealed};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, futimens, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use sha2::Sha256;

use super::key::{self, Key};
use super::trust::{self, TrustError};

/// First bytes of an entry.
const MARK: &[u8; 16] = b"mainstay code 1\n";
/// Bytes of an authentication code.
const TAG: usize = 32;
/// Bytes of all entries; the ones that were not used for the longest time go first.
const ROOM: u64 = 1 << 30;
/// Bytes copied at a time.
const CHUNK: usize = 1 << 16;

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    directory: OwnedFd,
    key: Key,
    /// Whether new code is put in.
    keeps: bool,
}

impl Cache {
    /// The cache of a daemon: makes what is missing of the directory and of the key beside the
    /// manifest.
    ///
    /// # Errors
    /// [`CacheError`]: neither may be writable by anybody else.
    pub(crate) fn keeping(path: &Path, state: &Path) -> Result<Self, CacheError> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for directory in [path, state] {
            let made = builder.create(directory);
            made.map_err(|error| TrustError::Io(directory.into(), error))?;
        }
        let key = match key::read(state)? {
            Some(key) => key,
            None => key::make(state)?,
        };
        Self::open(path, key, true)
    }

    /// The cache of a daemon, for somebody who looks things up and leaves no trace.
    ///
    /// # Errors
    /// As [`Self::keeping`]; [`CacheError::None`] when there is no key.
    pub(crate) fn reading(path: &Path, state: &Path) -> Result<Self, CacheError> {
        let key = key::read(state)?.ok_or(CacheError::None)?;
        Self::open(path, key, false)
    }

    fn open(path: &Path, key: Key, keeps: bool) -> Result<Self, CacheError> {
        let directory = trust::directory(path)?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            key,
            keeps,
        })
    }

    /// The code of a component for an engine; `None` when there is none.
    ///
    /// # Errors
    /// [`CacheError`] when there is something in its place. Nothing of it has been run.
    pub(crate) fn find(&self, sha256: &str, engine: &str) -> Result<Option<Sealed>, CacheError> {
        let name = name(sha256, engine)?;
        let path = self.path.join(&name);
        let io = |error: io::Error| TrustError::Io(path.clone(), error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match openat(&self.directory, &name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(io(error.into()).into()),
        };
        trust::file(&self.directory, &file, &path)?;
        let forged = || CacheError::Forged(path.clone());
        let mut head = [0; MARK.len() + TAG];
        file.read_exact(&mut head).map_err(|_| forged())?;
        let (mark, tag) = head.split_at(MARK.len());
        if mark != MARK {
            return Err(forged());
        }
        let mut mac = self.mac(sha256, engine);
        let (code, ()) = Sealed::write("mainstay-code", |sealed| {
            copy(&mut (&file).take(CODE_LIMIT), sealed, &mut mac)
        })
        .map_err(io)?;
        mac.verify_slice(tag).map_err(|_| forged())?;
        if self.keeps {
            // So that what is used stays. Whether this succeeds is of no importance.
            let _ = futimens(&file, &NOW);
        }
        Ok(Some(code))
    }

    /// Keeps the code of a component for an engine, and removes what there is no more room for.
    ///
    /// # Errors
    /// [`CacheError`] when it could not be written; what was there before is then still there.
    pub(crate) fn keep(&self, sha256: &str, engine: &str, code: &Sealed) -> Result<(), CacheError> {
        if !self.keeps || code.length() > CODE_LIMIT {
            return Ok(());
        }
        let name = name(sha256, engine)?;
        let temporary = format!("{name}.{}", std::process::id());
        let written = self.write(&temporary, sha256, engine, code).and_then(|()| {
            renameat(&self.directory, &temporary, &self.directory, &name)?;
            self.make_room(&name)
        });
        written.map_err(|error| {
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
            TrustError::Io(self.path.join(name), error).into()
        })
    }

    fn write(&self, name: &str, sha256: &str, engine: &str, code: &Sealed) -> io::Result<()> {
        let mut mac = self.mac(sha256, engine);
        copy(&mut code.reader(), &mut io::sink(), &mut mac)?;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = trust::create(self.directory.as_fd(), name, mode)?;
        file.write_all(MARK)?;
        file.write_all(&mac.finalize().into_bytes())?;
        io::copy(&mut code.reader(), &mut file)?;
        Ok(())
    }

    /// Removes entries until all fit, the one of this name last.
    fn make_room(&self, kept: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_owned();
            let stat = match statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // Somebody else makes room too.
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            // Among them this one and the one above.
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                continue;
            }
            let used = if name.to_bytes() == kept.as_bytes() {
                i64::MAX
            } else {
                stat.st_mtime
            };
            entries.push((used, name, u64::try_from(stat.st_size).unwrap_or(0)));
        }
        let mut size: u64 = entries.iter().map(|(_, _, size)| size).sum();
        entries.sort();
        for (_, name, freed) in entries {
            if size <= ROOM {
                break;
            }
            match unlinkat(&self.directory, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => size -= freed,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// An authentication code that has seen all but the code. Every part has a fixed length.
    fn mac(&self, sha256: &str, engine: &str) -> Hmac<Sha256> {
        // HMAC takes a key of a whole block, and fills up a shorter one with zeros.
        let mut block = [0; 64];
        block[..self.key.len()].copy_from_slice(&self.key);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
        for part in [&MARK[..], sha256.as_bytes(), engine.as_bytes()] {
            mac.update(part);
        }
        mac
    }
}

/// Now, for the time of the last use.
const NOW: Timestamps = Timestamps {
    last_access: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
    last_modification: Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    },
};

fn copy(from: &mut impl Read, to: &mut impl Write, mac: &mut Hmac<Sha256>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(()),
            length => {
                mac.update(&chunk[..length]);
                to.write_all(&chunk[..length])?;
            }
        }
    }
}

/// The name of an entry, from a digest and a worker's word on its engine.
fn name(sha256: &str, engine: &str) -> Result<String, CacheError> {
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if hex(sha256, 64) && hex(engine, 16) {
        Ok(format!("{sha256}-{engine}"))
    } else {
        Err(CacheError::Unnameable)
    }
}

/// Why the cache is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// There is no cache.
    #[error("there is none")]
    None,
    /// Somebody else could have written it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It is not what this daemon has put there.
    #[error("{0} is not what was put there")]
    Forged(PathBuf),
    /// The worker does not say for what it needs code.
    #[error("the worker names no engine")]
    Unnameable,
}

#[cfg(test)]
mod tests;
