//! Bytes in a document: base64, a third longer than the bytes themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that go over as base64.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Blob(#[serde(with = "crate::bytes")] pub Vec<u8>);

/// Writes bytes as a text. For `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// Reads what [`serialize`] has written.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // Not the error's own text: it would show the bytes around the fault.
    STANDARD
        .decode(text)
        .map_err(|_| de::Error::custom("not base64"))
}
