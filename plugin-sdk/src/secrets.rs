//! What the plugin was given to know: passwords, tokens, keys. Needs `permissions.secrets`.
//!
//! The daemon blots the values out of what the plugin logs and reports; what it sends over the network is its own
//! business.

use crate::bindings::host::mainstay::plugin::secrets as wit;

#[doc(inline)]
pub use wit::Error;

/// The value of a secret, as it was when the configuration was loaded.
///
/// # Errors
///
/// [`Error::NotPermitted`] without the permission, [`Error::NotFound`] when there is no value.
pub fn reveal(name: &str) -> Result<Vec<u8>, Error> {
    wit::get(name).map(|secret| secret.reveal())
}
