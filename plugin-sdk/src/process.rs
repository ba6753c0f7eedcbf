//! Running processes, as `pgrep` and `pidof` show them. Needs `permissions.process`.

use crate::bindings::host::mainstay::plugin::process as wit;

#[doc(inline)]
pub use wit::{Error, Info, RunState, Selector};

/// How many processes match; zombies are not counted.
///
/// # Errors
///
/// When the selector is not granted, when it is invalid, or when the host could not look.
pub fn count(selector: &Selector) -> Result<u32, Error> {
    wit::count(selector)
}

/// The processes that match, at most `limit` and never more than 256.
///
/// # Errors
///
/// Those of [`count`], and a limit of 0.
pub fn find(selector: &Selector, limit: u32) -> Result<Vec<Info>, Error> {
    wit::find(selector, limit)
}
