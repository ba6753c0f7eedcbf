//! A small store that the runs of a plugin share, kept by the daemon. Needs `permissions.state`.
//!
//! At most 64 keys of the form `[a-z0-9_.-]{1,64}`. What only one check needs to remember is better carried from run to
//! run, see [`Report::with_carry`](crate::Report::with_carry).

use crate::bindings::host::mainstay::plugin::state as wit;

#[doc(inline)]
pub use wit::Error;

/// What stands under a key, if anything.
///
/// # Errors
///
/// Without the permission, for a key that is none, and when the host could not look.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    wit::get(key)
}

/// Puts a value under a key.
///
/// # Errors
///
/// Those of [`get`], and [`Error::QuotaExceeded`].
pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
    wit::set(key, value)
}

/// Leaves nothing under a key.
///
/// # Errors
///
/// Those of [`get`].
pub fn delete(key: &str) -> Result<(), Error> {
    wit::delete(key)
}

/// Adds to the number under a key (0 when there is none) and returns the sum. No other run comes in between.
///
/// # Errors
///
/// Those of [`set`], and [`Error::NotANumber`].
pub fn increment(key: &str, by: i64) -> Result<i64, Error> {
    wit::increment(key, by)
}
