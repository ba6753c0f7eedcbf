//! Bytes that nobody can change any more, behind a descriptor that can be passed on.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;

/// What makes the bytes final, the seals themselves included.
const SEALS: SealFlags = SealFlags::WRITE
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// A file in memory whose bytes are final: whoever has looked at them can rely on them, whoever
/// else holds the descriptor.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    length: u64,
}

impl Sealed {
    /// Seals what `write` has written. `name` is for people who look into `/proc`.
    ///
    /// # Errors
    /// What `write` reports, and the system's when it has no memory for it.
    pub fn write<T>(
        name: &str,
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let mut blank = Blank::new(name)?;
        let result = write(&mut blank.0)?;
        Ok((blank.seal()?, result))
    }

    /// Seals a copy of these bytes.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn of(name: &str, bytes: &[u8]) -> io::Result<Self> {
        Self::write(name, |file| file.write_all(bytes)).map(|(sealed, ())| sealed)
    }

    /// Number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A reader from the first byte on, with a position of its own.
    #[must_use]
    pub fn reader(&self) -> impl io::Read + '_ {
        Reader {
            file: &self.file,
            at: 0,
        }
    }

    /// A copy of all of it.
    ///
    /// # Errors
    /// Whatever the system reports.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Another descriptor of the same bytes.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            length: self.length,
        })
    }
}

/// A file in memory that nothing has been written to, for who can make none when the bytes are
/// there.
#[derive(Debug)]
pub struct Blank(File);

impl Blank {
    /// An empty one. `name` is for people who look into `/proc`.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new(name: &str) -> io::Result<Self> {
        Ok(Self(File::from(create(name)?)))
    }

    /// Seals a copy of these bytes.
    ///
    /// # Errors
    /// When the system has no memory for them.
    pub fn hold(mut self, bytes: &[u8]) -> io::Result<Sealed> {
        self.0.write_all(bytes)?;
        self.seal()
    }

    fn seal(self) -> io::Result<Sealed> {
        fcntl_add_seals(&self.0, SEALS)?;
        let length = self.0.metadata()?.len();
        let file = self.0;
        Ok(Sealed { file, length })
    }
}

impl TryFrom<OwnedFd> for Sealed {
    type Error = SealedError;

    /// Takes a descriptor that somebody else has made, if its bytes are final.
    fn try_from(descriptor: OwnedFd) -> Result<Self, SealedError> {
        // Fails for whatever is no file in memory: a pipe that blocks, a file that changes.
        match fcntl_get_seals(&descriptor) {
            Ok(seals) if seals.contains(SEALS) => {}
            Ok(_) | Err(Errno::INVAL) => return Err(SealedError::Open),
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let file = File::from(descriptor);
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl From<Sealed> for OwnedFd {
    fn from(sealed: Sealed) -> Self {
        sealed.file.into()
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Reads without the position that all copies of a descriptor share.
struct Reader<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// An empty file in memory that can be sealed.
pub(crate) fn create(name: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 don't know that a file is never to be executed as a program.
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        result => result,
    }
}

/// Why a descriptor is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    /// Somebody could still change what is behind it.
    #[error("the descriptor is not a sealed file in memory")]
    Open,
    /// The system could not look at it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_sealed_can_be_read_and_not_be_changed() {
        let sealed = Sealed::of("test", b"final").unwrap();
        let mut other = File::from(sealed.as_fd().try_clone_to_owned().unwrap());
        assert!(other.write_all(b"x").is_err());
        assert!(other.set_len(1).is_err());
        assert!(fcntl_add_seals(&other, SealFlags::empty()).is_err());
        let mut text = String::new();
        sealed.reader().read_to_string(&mut text).unwrap();
        assert_eq!(text, "final");
        assert_eq!(sealed.to_vec().unwrap(), b"final");
        assert_eq!(sealed.length(), 5);
    }

    #[test]
    fn only_what_is_sealed_is_taken() {
        let sealed = Sealed::of("test", b"final").unwrap();
        let copy = Sealed::try_from(sealed.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(copy.to_vec().unwrap(), b"final");
        let open = create("test").unwrap();
        assert!(matches!(Sealed::try_from(open), Err(SealedError::Open)));
        let half = create("test").unwrap();
        fcntl_add_seals(&half, SealFlags::WRITE).unwrap();
        assert!(matches!(Sealed::try_from(half), Err(SealedError::Open)));
        let (reader, _writer) = io::pipe().unwrap();
        let pipe = Sealed::try_from(OwnedFd::from(reader));
        assert!(matches!(pipe, Err(SealedError::Open)));
        let file = File::open("/proc/self/stat").unwrap();
        let file = Sealed::try_from(OwnedFd::from(file));
        assert!(matches!(file, Err(SealedError::Open)));
    }
}
