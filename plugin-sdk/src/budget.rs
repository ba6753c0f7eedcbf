//! What is left of this run.

use std::time::Duration;

use crate::bindings::host::mainstay::plugin::budget as wit;

/// Time until the host stops this run.
#[must_use]
pub fn remaining() -> Duration {
    Duration::from_millis(wit::remaining_ms().into())
}
