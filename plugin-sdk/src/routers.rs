//! The virtual routers of this node, as they were at most a moment ago. Needs `permissions.routers`.

use crate::bindings::host::mainstay::plugin::routers as wit;

#[doc(inline)]
pub use wit::{Error, RouterStatus};

/// All of them.
///
/// # Errors
///
/// Without the permission, and when the host could not look.
pub fn all() -> Result<Vec<RouterStatus>, Error> {
    wit::all()
}

/// A router, once for each of its families.
///
/// # Errors
///
/// Those of [`all`], and [`Error::NotFound`].
pub fn named(name: &str) -> Result<Vec<RouterStatus>, Error> {
    wit::get(name)
}
