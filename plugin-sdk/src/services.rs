//! The virtual services of this node, as they were at most a moment ago. Needs `permissions.services`.

use crate::bindings::host::mainstay::plugin::services as wit;

#[doc(inline)]
pub use wit::{Error, ServerStatus, ServiceStatus};

/// All of them; none as long as the daemon has no virtual services.
///
/// # Errors
///
/// Without the permission, and when the host could not look.
pub fn all() -> Result<Vec<ServiceStatus>, Error> {
    wit::all()
}
