//! SHA-256 digests: those that a configuration names, and the identity of a check.

use std::net::SocketAddr;

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

/// What makes two checks the same check: the plugin's digest, the settings and the target, whatever
/// the name (architecture rule 10).
pub(super) fn of_check(plugin: &str, settings: &Json, target: Option<SocketAddr>) -> [u8; 32] {
    let mut settings = settings.clone();
    settings.sort_all_objects();
    let mut digest = Sha256::new();
    let target = target.map_or_else(String::new, |target| target.to_string());
    for part in [plugin, &settings.to_string(), &target] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}
