//! Lines in the daemon's log. Over the plugin's rate they are counted and dropped; over 1 KiB they are cut.

use crate::Attribute;
use crate::bindings::host::mainstay::plugin::log as wit;

#[doc(inline)]
pub use wit::{Level, enabled};

/// Writes a line with fields beside it.
pub fn write(level: Level, message: &str, fields: &[Attribute]) {
    wit::write(level, message, fields);
}

/// Writes a line at [`Level::Trace`].
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, message.as_ref(), &[]);
}

/// Writes a line at [`Level::Debug`].
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref(), &[]);
}

/// Writes a line at [`Level::Info`].
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref(), &[]);
}

/// Writes a line at [`Level::Warn`].
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref(), &[]);
}

/// Writes a line at [`Level::Error`].
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref(), &[]);
}
