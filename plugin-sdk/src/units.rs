//! The state of systemd's units. Needs `permissions.units`, and the unstable feature `service-manager`: it may change or
//! go in any version, and a plugin that calls it is loaded only where the configuration allows that.

use crate::bindings::host::mainstay::plugin::units as wit;

#[doc(inline)]
pub use wit::Error;

/// systemd's `ActiveState` of a unit: `active`, `inactive`, `failed` and others.
///
/// # Errors
///
/// Without the permission, for a unit that systemd does not know, and when it does not answer.
pub fn active_state(unit: &str) -> Result<String, Error> {
    wit::active_state(unit)
}
