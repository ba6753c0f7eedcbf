//! The key of this machine's cache: who does not know it cannot make code that is taken for ours.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::trust::{self, TrustError};

/// Name of the file in the state directory.
const NAME: &str = "code-key";

/// 256 random bits.
pub(super) type Key = [u8; 32];

/// Bytes read of what should be one.
const LONGEST: u64 = 64;

/// Reads the key in this directory. `None` when there is none yet.
///
/// # Errors
/// [`TrustError`] when others could have written it; also when it has another length.
pub(super) fn read(directory: &Path) -> Result<Option<Key>, TrustError> {
    let handle = trust::directory(directory)?;
    let path = directory.join(NAME);
    let io = |error: io::Error| TrustError::Io(path.clone(), error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match openat(&handle, NAME, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(io(error.into())),
    };
    let stat = trust::file(&handle, &file, &path)?;
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        return Err(io(io::Error::other("others may read it: chmod 600")));
    }
    let mut bytes = Vec::new();
    (&mut file)
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    let no_key = |_| {
        io(io::Error::other(
            "is not a key: remove it, and another is made",
        ))
    };
    Key::try_from(bytes).map(Some).map_err(no_key)
}

/// Makes a key in this directory, unless somebody else does so at the same time; then theirs counts.
///
/// # Errors
/// As [`read`].
pub(super) fn make(directory: &Path) -> Result<Key, TrustError> {
    let handle = trust::directory(directory)?;
    let path = directory.join(NAME);
    let io = |error: io::Error| TrustError::Io(path.clone(), error);
    let key = random().map_err(io)?;
    let temporary = format!("{NAME}.{}", std::process::id());
    let result = put(&handle, &temporary, &key).and_then(|()| {
        // Unlike a rename, a link leaves alone what is there already.
        let flags = rustix::fs::AtFlags::empty();
        match rustix::fs::linkat(&handle, &temporary, &handle, NAME, flags) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    let _ = rustix::fs::unlinkat(&handle, &temporary, rustix::fs::AtFlags::empty());
    result.map_err(io)?;
    read(directory)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
}

fn put(directory: &OwnedFd, name: &str, key: &Key) -> io::Result<()> {
    let mut file = trust::create(directory.as_fd(), name, Mode::RUSR | Mode::WUSR)?;
    file.write_all(key)?;
    file.sync_all()
}

fn random() -> io::Result<Key> {
    let mut key = [MaybeUninit::uninit(); 32];
    let (bytes, _) = getrandom(&mut key[..], GetRandomFlags::empty())?;
    // Up to 256 bytes come whole or not at all.
    let bytes: &[u8] = bytes;
    Key::try_from(bytes).map_err(io::Error::other)
}
