//! Reading a plugin's file, and telling early what is wrong with it.
//!
//! The file is read once. The bytes that are hashed are the bytes that are compiled, whatever
//! happens to the file meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mainstay_protocol::Sealed;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::hex;
use super::plan::ComponentFile;

/// The largest component, in bytes.
pub(crate) const LIMIT: u64 = 32 << 20;

/// Header of a component in the binary format, and of a core module.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Reads a component of at most [`LIMIT`] bytes that has this digest.
///
/// # Errors
/// [`FileError`]: the file cannot be read, is another one, or is not a component.
pub(crate) fn read(file: &ComponentFile, sha256: &str) -> Result<Sealed, FileError> {
    let path = file.path.as_path();
    let io = |error| FileError::from_io(path, error);
    let bytes = whole(path)?;
    let found = hex(&Sha256::digest(&bytes));
    if found != sha256 {
        return Err(if file.pinned {
            FileError::OtherDigest(path.into(), found)
        } else {
            FileError::Changed(path.into())
        });
    }
    match recognise(&bytes) {
        Kind::Component => Sealed::of("mainstay-component", &bytes).map_err(io),
        kind => Err(FileError::NotAComponent(path.into(), kind)),
    }
}

/// The digest of a component's file, in lower-case hexadecimal digits.
///
/// # Errors
/// [`FileError`], but anything of the right size has a digest.
pub(crate) fn digest(path: &Path) -> Result<String, FileError> {
    Ok(hex(&Sha256::digest(&whole(path)?)))
}

fn whole(path: &Path) -> Result<Vec<u8>, FileError> {
    let io = |error| FileError::from_io(path, error);
    // O_NONBLOCK: a named pipe in place of the file must not hold up anybody.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile(path.into()));
    }
    let mut bytes = Vec::new();
    if metadata.len() <= LIMIT {
        file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(io)?;
    }
    if metadata.len().max(bytes.len() as u64) > LIMIT {
        return Err(FileError::TooLarge(path.into()));
    }
    Ok(bytes)
}

/// What a file is, by its first bytes and, for a component, by the lengths of its sections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A component with all its sections.
    Component,
    /// The first part of one.
    Truncated,
    /// Nothing.
    Empty,
    /// A core WebAssembly module.
    CoreModule,
    /// WebAssembly of a version that is neither.
    OtherVersion,
    /// WebAssembly in its text form.
    Text,
    /// Machine code, such as what wasmtime stores of a compiled component.
    NativeCode,
    /// A script.
    Script,
    /// Something else.
    Unknown,
}

fn recognise(bytes: &[u8]) -> Kind {
    match bytes {
        [] => Kind::Empty,
        _ if bytes.starts_with(&COMPONENT) && sections_are_whole(&bytes[8..]) => Kind::Component,
        _ if bytes.starts_with(&COMPONENT) || COMPONENT.starts_with(bytes) => Kind::Truncated,
        _ if bytes.starts_with(&CORE_MODULE) => Kind::CoreModule,
        _ if bytes.starts_with(b"\0asm") => Kind::OtherVersion,
        _ if bytes.starts_with(b"\x7fELF") => Kind::NativeCode,
        _ if bytes.starts_with(b"#!") => Kind::Script,
        _ if bytes.trim_ascii_start().starts_with(b"(") => Kind::Text,
        _ => Kind::Unknown,
    }
}

/// Walks the top-level sections: an identifier, a length in LEB128, that many bytes.
fn sections_are_whole(mut rest: &[u8]) -> bool {
    while let [_, after @ ..] = rest {
        let Some((length, body)) = leb128(after) else {
            return false;
        };
        let Some(next) = usize::try_from(length).ok().and_then(|n| body.get(n..)) else {
            return false;
        };
        rest = next;
    }
    true
}

/// An unsigned 32-bit number in LEB128 and what follows it.
fn leb128(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

/// Why a file cannot be used as a plugin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Nothing has that name.
    #[error("there is no file {0}")]
    Missing(PathBuf),
    /// This user may not read it.
    #[error("{0} may not be read")]
    Forbidden(PathBuf),
    /// A directory, a pipe, a device.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Over [`LIMIT`].
    #[error("{0} is larger than {limit} MiB", limit = LIMIT >> 20)]
    TooLarge(PathBuf),
    /// Another file than the pinned one.
    #[error("{0} is not the pinned file, its sha256 is {1}")]
    OtherDigest(PathBuf, String),
    /// Another file than a moment ago.
    #[error("{0} was replaced while it was read")]
    Changed(PathBuf),
    /// Read, but of another kind.
    #[error("{0} {what}", what = .1.words())]
    NotAComponent(PathBuf, Kind),
    /// The system could not read it.
    #[error("{0} cannot be read: {1}")]
    Io(PathBuf, io::Error),
}

impl FileError {
    fn from_io(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path.into()),
            io::ErrorKind::PermissionDenied => Self::Forbidden(path.into()),
            _ => Self::Io(path.into(), error),
        }
    }

    /// What to do about it, when that is known.
    #[must_use]
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some(
                "install the plugin there, or correct `file` or `directory` in the configuration"
                    .to_owned(),
            ),
            Self::Forbidden(path) => Some(format!(
                "the daemon runs as an unprivileged user: chmod a+r {}, and a+x its directories",
                path.display()
            )),
            Self::OtherDigest(_, sha256) => Some(format!(
                "if this file is wanted, write sha256 = \"{sha256}\"; if not, put the right one back"
            )),
            Self::Changed(_) => Some("try again".to_owned()),
            Self::NotAComponent(_, kind) => kind.help().map(str::to_owned),
            Self::NotAFile(_) | Self::TooLarge(_) | Self::Io(..) => None,
        }
    }
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Component => "is a component",
            Self::Truncated => "is a component cut short",
            Self::Empty => "is empty",
            Self::CoreModule => "is a core WebAssembly module, not a component",
            Self::OtherVersion => "is WebAssembly of a version that this daemon does not know",
            Self::Text => "is WebAssembly in text form, not a component",
            Self::NativeCode => "is native code, which is never loaded as a plugin",
            Self::Script => "is a script, not a component",
            Self::Unknown => "is not WebAssembly",
        }
    }

    fn help(self) -> Option<&'static str> {
        match self {
            Self::Component => None,
            Self::Truncated | Self::Empty => Some("copy the file again"),
            Self::CoreModule => Some(
                "build for the target wasm32-wasip2, or make it a component with `wasm-tools component new`",
            ),
            Self::OtherVersion => Some("build it with current tools for WASI 0.2"),
            Self::Text => Some("translate it with `wasm-tools parse`"),
            Self::NativeCode => {
                Some("give the .wasm component that it was made from; it is compiled here")
            }
            Self::Script => Some(
                "checks are WebAssembly components; the stock plugins `process` and `tcp` replace most scripts",
            ),
            Self::Unknown => Some("a plugin is a WebAssembly component, usually named NAME.wasm"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t13_kinds_are_told_by_their_first_bytes() {
        for (bytes, kind) in [
            (&b""[..], Kind::Empty),
            (b"\0asm\x0d\0\x01\0", Kind::Component),
            (b"\0asm\x0d\0", Kind::Truncated),
            (b"\0a", Kind::Truncated),
            (b"\0asm\x0d\0\x01\0\x07\x05ab", Kind::Truncated),
            (
                b"\0asm\x0d\0\x01\0\x07\xff\xff\xff\xff\xff",
                Kind::Truncated,
            ),
            (b"\0asm\x0d\0\x01\0\x07\x02ab", Kind::Component),
            (b"\0asm\x01\0\0\0", Kind::CoreModule),
            (b"\0asm\x0a\0\x01\0", Kind::OtherVersion),
            (b"\x7fELF\x02", Kind::NativeCode),
            (b"#!/bin/sh\n", Kind::Script),
            (b"\n (component)", Kind::Text),
            (b"MZ\x90", Kind::Unknown),
        ] {
            assert_eq!(recognise(bytes), kind, "{bytes:?}");
        }
    }

    fn file(path: &Path, pinned: bool) -> ComponentFile {
        ComponentFile {
            path: path.to_owned(),
            pinned,
        }
    }

    #[test]
    fn t39_only_the_expected_file_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty.wasm");
        std::fs::write(&path, COMPONENT).unwrap();
        let sha256 = digest(&path).unwrap();
        let sealed = read(&file(&path, true), &sha256).unwrap();
        assert_eq!(sealed.to_vec().unwrap(), COMPONENT);
        let error = read(&file(&path, true), &"0".repeat(64)).unwrap_err();
        assert!(error.to_string().contains(&sha256), "{error}");
        assert!(error.help().unwrap().contains(&sha256));
        let error = read(&file(&path, false), &"0".repeat(64)).unwrap_err();
        assert!(matches!(error, FileError::Changed(_)), "{error}");
    }

    #[test]
    fn t15_what_is_not_a_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for path in [directory.path(), &pipe] {
            assert!(matches!(digest(path), Err(FileError::NotAFile(_))));
        }
        let missing = directory.path().join("x");
        assert!(matches!(digest(&missing), Err(FileError::Missing(_))));
    }

    #[test]
    fn t14_a_file_over_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large.wasm");
        File::create(&path).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(matches!(digest(&path), Err(FileError::TooLarge(_))));
    }
}
