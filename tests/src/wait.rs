//! Waiting for a condition instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Until a condition that takes no protocol time holds: a process that starts, a socket that appears.
/// Generous, since it is only used up when something is wrong.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until `condition` gives something, at most for `limit`; `what` is named when it never does.
///
/// # Errors
/// When `limit` has passed, or when `condition` fails.
pub fn until<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition()? {
            return Ok(found);
        }
        if Instant::now() > end {
            bail!("waited {limit:?} in vain until {what}");
        }
        thread::sleep(POLL);
    }
}

/// Waits until `condition` is true, as [`until`] does.
///
/// # Errors
/// As [`until`].
pub fn until_true(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    until(limit, what, || Ok(condition()?.then_some(())))
}
