//! The configuration as the engine wants it: parsed, within range, without anything left to check.

use std::fmt;
use std::num::NonZeroU8;
use std::time::Duration;

use crate::address::{Family, Prefix};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Counts configurations since the start; verdicts carry it back.
    pub generation: u64,
    /// The virtual routers; (interface, family, id) is unique among them, and so is the name.
    pub routers: Vec<RouterSettings>,
    /// The checks, with unique names.
    pub checks: Vec<CheckSettings>,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterSettings {
    /// Its name: a label, which may change without a consequence.
    pub name: String,
    /// Name of the interface it runs on, which need not be there.
    pub interface: String,
    /// Virtual router identifier, 1 to 255 (`V3-08`).
    pub id: NonZeroU8,
    /// Address family.
    pub family: Family,
    /// Protocol version on the wire.
    pub version: Version,
    /// Base priority: 255 for the owner of the addresses, 1 to 254 otherwise (`V3-09`).
    pub priority: NonZeroU8,
    /// Advertisement interval: whole seconds 1 to 255 for version 2 (`V2-01`), 10 ms to 40.95 s in
    /// steps of 10 ms for version 3 (`V3-11`).
    pub advert_interval: Duration,
    /// Whether a backup with the higher priority takes over (`V3-45`, `V3-46`).
    pub preempt: bool,
    /// Advertisements that a backup may miss before it takes over, 1 to 100; 3 in the RFC
    /// (`V3-34`).
    pub down_timer_adverts: u8,
    /// Authentication of version 2; none with version 3.
    pub authentication: Authentication,
    /// The form of version 3's checksum that is sent; every form is accepted (`V3-12`, `V3-13`).
    pub checksum: ChecksumForm,
    /// The virtual addresses, at least one, at most 255 (`V3-22`), in the order sent (`V3-21`).
    pub addresses: Vec<Prefix>,
    /// The checks that decide about it.
    pub track: Vec<Track>,
    /// Gratuitous ARP.
    pub announce: AnnounceSettings,
}

/// A version of VRRP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

impl Version {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// What the checksum of version 3 over IPv4 covers (`V3-12`, `V3-13`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChecksumForm {
    /// The message behind a pseudo-header, as RFC 5798 was read and deployed.
    PseudoHeader,
    /// The message alone, as RFC 9568 says.
    MessageOnly,
}

/// Authentication of version 2 (`AU-01`).
#[derive(Clone, Debug, PartialEq)]
pub enum Authentication {
    /// Type 0.
    None,
    /// Type 1: a password in clear text.
    Pass(Password),
}

/// The eight bytes of a simple password, padded with zeros (`AU-01`). Does not print itself.
#[derive(Clone, Copy, PartialEq)]
pub struct Password([u8; 8]);

impl Password {
    /// The password; `None` when it has no byte or more than eight.
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 8 {
            return None;
        }
        let mut password = [0; 8];
        password[..bytes.len()].copy_from_slice(bytes);
        Some(Self(password))
    }

    /// The password that these eight bytes on the wire stand for, whatever they are.
    pub fn from_wire(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The eight bytes on the wire.
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// How a check bears on a router.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    /// Name of the check, which is among [`Settings::checks`].
    pub check: String,
    /// Added to the priority: a positive weight while the check is in service, a negative one while
    /// it is not; -253 to 253. Without a weight the router is in fault unless the check is in
    /// service.
    pub weight: Option<i16>,
}

/// How the neighbours are told of an address that moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AnnounceSettings {
    /// Gratuitous ARPs per address in each of the two rounds.
    pub repeat: u8,
    /// From the first round to the second.
    pub delay: Duration,
}

impl Default for AnnounceSettings {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
        }
    }
}

/// One check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckSettings {
    /// Its name: a label.
    pub name: String,
    /// The plugin that runs it: a label too.
    pub plugin: String,
    /// Digest over plugin, settings and target: the same check under another name is the same
    /// check.
    pub identity: [u8; 32],
    /// Reports of being in service in a row that bring it back, at least 1.
    pub rise: u32,
    /// Reports of being out of service in a row that take it out, at least 1.
    pub fall: u32,
    /// What counts until the first report.
    pub initial: Initial,
    /// What a run without an answer means.
    pub on_error: OnError,
    /// For how long a report counts.
    pub stale_after: Duration,
}

/// What counts until a check has reported for the first time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Initial {
    /// In service.
    Healthy,
    /// Out of service.
    Unhealthy,
}

/// What a run without an answer means: a trap, a timeout, an error of the plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnError {
    /// The last report goes on to count until it is stale.
    Keep,
    /// It counts as a report of being out of service.
    Fail,
    /// It counts as a report of being in service.
    Pass,
}
