//! Exit codes, as in sysexits(3).

use std::error::Error;
use std::io;
use std::iter::successors;

/// The command was used wrongly.
pub(crate) const USAGE: u8 = 64;
/// A file that was named is not what it should be.
pub(crate) const DATA: u8 = 65;
/// Something that is needed is not there: no daemon answers, no worker can be started.
pub(crate) const UNAVAILABLE: u8 = 69;
/// The daemon can't go on.
pub(crate) const SOFTWARE: u8 = 70;
/// Something could not be read or written.
pub(crate) const IO: u8 = 74;
/// The user may not do this.
pub(crate) const NOT_PERMITTED: u8 = 77;
/// The configuration, or a plugin it names, is wrong.
pub(crate) const CONFIG: u8 = 78;

/// [`NOT_PERMITTED`] when a missing right is behind an error, else `otherwise`.
pub(crate) fn by_cause(error: &(dyn Error + 'static), otherwise: u8) -> u8 {
    let denied = |error: &(dyn Error + 'static)| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    match successors(Some(error), |&error| error.source()).any(denied) {
        true => NOT_PERMITTED,
        false => otherwise,
    }
}
