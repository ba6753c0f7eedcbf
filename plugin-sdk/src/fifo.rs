//! Lines for named pipes. Needs `permissions.fifo`.

use crate::bindings::host::mainstay::plugin::fifo as wit;

#[doc(inline)]
pub use wit::Error;

/// Writes `line` and a line break, all or nothing; never waits for a reader.
///
/// # Errors
///
/// [`Error::NoReader`] and [`Error::Full`] speak of the other end, [`Error::InvalidLine`] of a line that is longer than
/// 4095 bytes or is more than one.
pub fn write(path: &str, line: &str) -> Result<(), Error> {
    wit::write(path, line)
}
