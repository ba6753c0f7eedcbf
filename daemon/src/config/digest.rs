//! SHA-256 digests: those that a configuration names, those of files, and the identity of a check.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::value::Value;

/// Reads a digest as 64 hexadecimal digits; answers in lower case.
pub(super) fn read(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.len() != 64 || !text.chars().all(|c| c.is_ascii_hexdigit()) {
        value.spot.error(
            "this is no SHA-256 digest",
            Some("expected 64 hexadecimal digits, as sha256sum prints them".to_owned()),
        );
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// The largest component that a worker loads, in bytes.
const LARGEST: u64 = 32 << 20;

/// The digest of a file, as lower-case hexadecimal digits.
///
/// # Errors
/// Whatever reading the file reports; [`io::ErrorKind::FileTooLarge`] for a file that no worker
/// would load, before it is read.
pub(super) fn of_file(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {} MiB", LARGEST >> 20),
        ));
    }
    let mut file = file.take(LARGEST);
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&chunk[..length]),
        }
    }
}

/// What makes two checks the same check: the plugin's digest and the settings, whatever the name
/// (architecture rule 10).
pub(super) fn of_check(plugin: &str, settings: &Json) -> [u8; 32] {
    let mut settings = settings.clone();
    settings.sort_all_objects();
    let mut digest = Sha256::new();
    for part in [plugin, &settings.to_string()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
