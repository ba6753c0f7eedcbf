//! Reading a plugin's file, and telling early what is wrong with it.
//!
//! The file is read once. The bytes that are hashed are the bytes that are compiled, whatever
//! happens to the file meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The largest component, in bytes.
pub(crate) const LIMIT: u64 = 32 << 20;

/// Header of a component in the binary format, and of a core module.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const CORE_MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// A component's bytes, checked as far as that goes without a compiler.
#[derive(Debug)]
pub(crate) struct Binary {
    /// The whole file.
    pub(crate) bytes: Vec<u8>,
    /// Lower-case hex digest of [`bytes`](Self::bytes).
    pub(crate) sha256: String,
}

/// Reads a component of at most [`LIMIT`] bytes and, when a digest is pinned, compares it.
///
/// # Errors
/// [`FileError`]: the file cannot be read, is not the pinned one, or is not a component.
pub(crate) fn read(path: &Path, pinned: Option<&str>) -> Result<Binary, FileError> {
    let io = |error| FileError::from_io(path, error);
    // O_NONBLOCK: a named pipe in place of the file must not hold up the worker.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(FileError::NotAFile(path.into()));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > LIMIT {
        return Err(FileError::TooLarge(path.into()));
    }
    let sha256 = hex(&Sha256::digest(&bytes));
    if let Some(pinned) = pinned
        && !pinned.eq_ignore_ascii_case(&sha256)
    {
        return Err(FileError::OtherDigest {
            path: path.into(),
            sha256,
        });
    }
    match recognise(&bytes) {
        Kind::Component => Ok(Binary { bytes, sha256 }),
        kind => Err(FileError::NotAComponent(path.into(), kind)),
    }
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

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Why a file cannot be used as a plugin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// Nothing has that name.
    #[error("there is no file {0}")]
    Missing(PathBuf),
    /// The worker's user may not read it.
    #[error("{0} may not be read")]
    Forbidden(PathBuf),
    /// A directory, a pipe, a device.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Over [`LIMIT`].
    #[error("{0} is larger than {limit} MiB", limit = LIMIT >> 20)]
    TooLarge(PathBuf),
    /// Another file than the pinned one.
    #[error("{path} is not the pinned file, its sha256 is {sha256}")]
    OtherDigest {
        /// The file.
        path: PathBuf,
        /// Digest of what is there.
        sha256: String,
    },
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
                "plugins are read by an unprivileged user: chmod a+r {}, and a+x its directories",
                path.display()
            )),
            Self::OtherDigest { sha256, .. } => Some(format!(
                "if this file is wanted, write sha256 = \"{sha256}\"; if not, put the right one back"
            )),
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
            Self::NativeCode => Some(
                "give the .wasm component that it was made from; the worker compiles it itself",
            ),
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
    fn kinds_are_told_by_their_first_bytes() {
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

    #[test]
    fn a_pinned_digest_must_match() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty.wasm");
        std::fs::write(&path, COMPONENT).unwrap();
        let binary = read(&path, None).unwrap();
        assert!(read(&path, Some(&binary.sha256)).is_ok());
        assert!(read(&path, Some(&binary.sha256.to_uppercase())).is_ok());
        let error = read(&path, Some(&"0".repeat(64))).unwrap_err();
        assert!(error.to_string().contains(&binary.sha256), "{error}");
        assert!(error.help().unwrap().contains(&binary.sha256));
    }

    #[test]
    fn what_is_not_a_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            read(directory.path(), None),
            Err(FileError::NotAFile(_))
        ));
        assert!(matches!(
            read(&directory.path().join("x"), None),
            Err(FileError::Missing(_))
        ));
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large.wasm");
        File::create(&path).unwrap().set_len(LIMIT + 1).unwrap();
        assert!(matches!(read(&path, None), Err(FileError::TooLarge(_))));
    }
}
