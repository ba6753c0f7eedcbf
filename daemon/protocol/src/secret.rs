//! What a plugin may know and nobody else should.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::bytes;

/// The longest secret, in bytes.
pub const SECRET_LIMIT: usize = 16 << 10;

/// All secrets of a load together, in bytes: what a frame has room for beside everything else.
pub const SECRETS_LIMIT: usize = 128 << 10;

/// A secret of a plugin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Secret {
    /// What the plugin asks for.
    pub name: String,
    /// What it gets.
    pub value: SecretBytes,
}

/// At most [`SECRET_LIMIT`] bytes that do not print. They are wiped when the last clone goes.
#[derive(Clone, PartialEq)]
pub struct SecretBytes(Arc<Zeroizing<Vec<u8>>>);

impl SecretBytes {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes, for whoever may have them.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bytes::serialize(self.reveal(), serializer)
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_over_the_wire_and_into_no_text() {
        let secret = Secret {
            name: "db".to_owned(),
            value: SecretBytes::new(b"hunter2\xff\0".to_vec()),
        };
        let text = serde_json::to_string(&secret).unwrap();
        assert_eq!(text, r#"{"name":"db","value":"aHVudGVyMv8A"}"#);
        assert_eq!(serde_json::from_str::<Secret>(&text).unwrap(), secret);
        assert_eq!(
            format!("{secret:?}"),
            r#"Secret { name: "db", value: *** }"#
        );
    }

    #[test]
    fn what_is_no_secret_is_not_shown_either() {
        let error = serde_json::from_str::<SecretBytes>("\"hunter2!\"").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
