//! Exit codes, as in sysexits(3).

/// The command was used wrongly.
pub(crate) const USAGE: u8 = 64;
/// Something that is needed is not there: no daemon answers, no worker can be started.
pub(crate) const UNAVAILABLE: u8 = 69;
/// The daemon can't go on.
pub(crate) const SOFTWARE: u8 = 70;
/// The configuration, or a plugin it names, is wrong.
pub(crate) const CONFIG: u8 = 78;
