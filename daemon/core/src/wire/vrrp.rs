//! VRRP advertisements over IPv4, version 2 (RFC 3768) and version 3 (RFC 9568).
//!
//! ```text
//!    0         1       2       3           4          5       6       7
//! ┌────┬────┬───────┬────────┬───────┬──────────┬──────────┬───────────────┐
//! │ ver│ 1  │  id   │priority│ count │ reserved, interval  │   checksum    │  version 3, centiseconds
//! │ 3  │    │       │        │       │ 4 bits │  12 bits   │               │
//! ├────┼────┼───────┼────────┼───────┼──────────┬──────────┼───────────────┤
//! │ ver│ 1  │  id   │priority│ count │   type   │ interval │   checksum    │  version 2, seconds;
//! │ 2  │    │       │        │       │ of auth. │          │               │  type 0 none, 1 password
//! ├────┴────┴───────┴────────┼───────┴──────────┴──────────┴───────────────┘
//! │ address 1                │ … count × 4 bytes
//! ├──────────────────────────┴─────────────────────────────────────────────┐
//! │ authentication data, 8 bytes                                           │  version 2 only
//! └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Receiving has two steps. [`Advertisement::parse`] does every check that needs no configuration; before it,
//! [`peek_id`] tells for which router a packet was meant, so that a packet that is rejected can be
//! counted there. [`Advertisement::admit`] compares with what that router expects.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use crate::settings::{Authentication, ChecksumForm, Password, Version};
use crate::wire::checksum::Sum;

pub use crate::wire::Reject;

/// IP protocol number of VRRP (`V3-01`).
pub const PROTOCOL: u8 = 112;

/// Where advertisements go (`V3-01`).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Time to live of every advertisement (`V3-02`, `V3-03`).
pub const HOP_LIMIT: u8 = 255;

/// Addresses that fit into one advertisement (`V3-22`).
pub const ADDRESSES_MAX: usize = 255;

const HEADER: usize = 8;
const CHECKSUM: std::ops::Range<usize> = 6..8;
const ADDRESS: usize = 4;
/// Authentication data at the end of version 2.
const TRAILER: usize = 8;
const ADVERTISEMENT: u8 = 1;
/// The lower 12 bits: the upper four are reserved and ignored (`V3-07`).
const INTERVAL: u16 = 0x0fff;
const PASS: u8 = 1;

/// Length of a message that was padded to Ethernet's shortest payload, which is 42 bytes with a
/// VLAN tag and 46 without, 20 of which are the IP header (`V3-31`). No count of addresses leads to
/// either, so that padding is never taken for an address or the reverse.
const PADDED: [usize; 2] = [22, 26];

/// A valid advertisement as it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Advertisement<'a> {
    /// Its version.
    pub version: Version,
    /// The virtual router it speaks for (`V3-08`).
    pub id: NonZeroU8,
    /// Priority of the sender; 0 when it stops (`V3-09`).
    pub priority: u8,
    /// The sender's advertisement interval, above zero (`V3-11`).
    pub interval: Duration,
    /// The virtual addresses, at least one (`V3-10`).
    pub addresses: Addresses<'a>,
    /// How it is authenticated; none with version 3.
    pub authentication: Authentication,
    /// The form in which its checksum was found valid.
    pub checksum: ChecksumSeen,
}

/// What a received checksum covered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChecksumSeen {
    /// The message alone (`V3-12`, `V2-02`).
    MessageOnly,
    /// The message behind a pseudo-header with the packet's own addresses (`V3-13`).
    PseudoHeader,
    /// The same with 224.0.0.18 as destination of a packet that went elsewhere (`V3-15`).
    PseudoHeaderMulticast,
}

/// What a virtual router expects of the advertisements that it believes.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// The version that it speaks.
    pub version: Version,
    /// Its authentication; only looked at with version 2.
    pub authentication: &'a Authentication,
    /// Its own interval; only looked at with version 2 (`V2-04`, `V3-29`).
    pub advert_interval: Duration,
}

/// The addresses of an advertisement, still in its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Addresses<'a>(&'a [u8]);

impl<'a> Addresses<'a> {
    /// Each address, in the order sent.
    pub fn iter(self) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let (addresses, _) = self.0.as_chunks::<ADDRESS>();
        addresses.iter().copied().map(Ipv4Addr::from)
    }
}

/// The id in the second byte: whom a packet was meant for, whether it is valid or not. `None` when
/// there is no such byte.
pub fn peek_id(bytes: &[u8]) -> Option<u8> {
    bytes.get(1).copied()
}

impl<'a> Advertisement<'a> {
    /// Reads the message that follows the IP header, with every check that needs no configuration.
    ///
    /// The checks come in the order of RFC 9568 section 7.1, so the reason for a rejection is the first
    /// thing wrong with the packet.
    pub fn parse(
        bytes: &'a [u8],
        source: Ipv4Addr,
        destination: Ipv4Addr,
        hop_limit: u8,
    ) -> Result<Self, Reject> {
        if hop_limit != HOP_LIMIT {
            return Err(Reject::HopLimit);
        }
        let Some((&header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(Reject::TooShort);
        };
        let [version_and_type, id, priority, count, fourth, fifth, _, _] = header;
        let version = match version_and_type >> 4 {
            2 => Version::V2,
            3 => Version::V3,
            _ => return Err(Reject::Version),
        };
        if version_and_type & 0x0f != ADVERTISEMENT {
            return Err(Reject::Type);
        }
        let message = message(bytes, length(version, usize::from(count))).ok_or(Reject::Length)?;
        let checksum = match version {
            Version::V2 => checksum_v2(message),
            Version::V3 => checksum_v3(message, source, destination),
        }
        .ok_or(Reject::Checksum)?;
        if count == 0 {
            return Err(Reject::NoAddresses);
        }
        let interval = match version {
            Version::V2 => Duration::from_secs(u64::from(fifth)),
            Version::V3 => Duration::from_millis(
                10 * u64::from(u16::from_be_bytes([fourth, fifth]) & INTERVAL),
            ),
        };
        if interval.is_zero() {
            return Err(Reject::IntervalZero);
        }
        let id = NonZeroU8::new(id).ok_or(Reject::VirtualRouterId)?;
        let authentication = match version {
            Version::V2 => authentication(fourth, message)?,
            Version::V3 => Authentication::None,
        };
        let (addresses, _) = rest
            .split_at_checked(ADDRESS * usize::from(count))
            .ok_or(Reject::Length)?;
        Ok(Self {
            version,
            id,
            priority,
            interval,
            addresses: Addresses(addresses),
            authentication,
            checksum,
        })
    }

    /// Compares with what the router of this id expects.
    ///
    /// Neither another interval with version 3 (`V3-29`) nor another list of addresses (`V3-30`) is
    /// a reason to reject.
    pub fn admit(&self, expectation: &Expectation<'_>) -> Result<(), Reject> {
        if self.version != expectation.version {
            return Err(Reject::Version);
        }
        if self.version == Version::V3 {
            return Ok(());
        }
        match (&self.authentication, expectation.authentication) {
            (Authentication::None, Authentication::None) => {}
            (Authentication::Pass(theirs), Authentication::Pass(ours)) => {
                if !same_password(theirs.bytes(), ours.bytes()) {
                    return Err(Reject::AuthenticationData);
                }
            }
            (Authentication::None, Authentication::Pass(_))
            | (Authentication::Pass(_), Authentication::None) => {
                return Err(Reject::AuthenticationType);
            }
        }
        if self.interval != expectation.advert_interval {
            return Err(Reject::Interval);
        }
        Ok(())
    }
}

/// An advertisement to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Version.
    pub version: Version,
    /// The virtual router.
    pub id: NonZeroU8,
    /// Priority, 0 to announce the stop (`V3-53`).
    pub priority: u8,
    /// The sender's interval. Rounded to what the version can say and kept within its range:
    /// 10 ms to 40.95 s in centiseconds, or 1 to 255 s in seconds (`V3-11`, `V2-01`).
    pub interval: Duration,
    /// The virtual addresses in the configured order (`V3-21`); those after the 255th are left out.
    pub addresses: &'a [Ipv4Addr],
    /// Authentication, only looked at with version 2.
    pub authentication: &'a Authentication,
    /// Form of the checksum, only looked at with version 3.
    pub checksum: ChecksumForm,
    /// Source address of the packet.
    pub source: Ipv4Addr,
    /// Destination address of the packet.
    pub destination: Ipv4Addr,
}

/// Writes the message that follows the IP header, checksum included.
pub fn emit(advertisement: &Outgoing<'_>) -> Vec<u8> {
    let version = advertisement.version;
    let addresses = &advertisement.addresses[..advertisement.addresses.len().min(ADDRESSES_MAX)];
    let [fourth, fifth] = match version {
        Version::V2 => [
            match advertisement.authentication {
                Authentication::None => 0,
                Authentication::Pass(_) => PASS,
            },
            u8::try_from(rounded(advertisement.interval, 1_000, 255)).unwrap_or(u8::MAX),
        ],
        Version::V3 => rounded(advertisement.interval, 10, INTERVAL).to_be_bytes(),
    };
    let mut message = Vec::with_capacity(length(version, addresses.len()));
    message.extend([
        (version.number() << 4) + ADVERTISEMENT,
        advertisement.id.get(),
        advertisement.priority,
        u8::try_from(addresses.len()).unwrap_or(u8::MAX),
        fourth,
        fifth,
        0,
        0,
    ]);
    for address in addresses {
        message.extend(address.octets());
    }
    if version == Version::V2 {
        message.extend(match advertisement.authentication {
            Authentication::None => [0; TRAILER],
            Authentication::Pass(password) => password.bytes(),
        });
    }
    let before = match (version, advertisement.checksum) {
        (Version::V2, _) | (Version::V3, ChecksumForm::MessageOnly) => Sum::default(),
        (Version::V3, ChecksumForm::PseudoHeader) => {
            pseudo_header(&message, advertisement.source, advertisement.destination)
        }
    };
    let checksum = before.with(&message).checksum();
    message[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// Length of a message with `count` addresses (`V3-05`, `V2-01`).
fn length(version: Version, count: usize) -> usize {
    let trailer = match version {
        Version::V2 => TRAILER,
        Version::V3 => 0,
    };
    HEADER + ADDRESS * count + trailer
}

/// The first `length` bytes when nothing follows them but padding (`V3-31`).
fn message(bytes: &[u8], length: usize) -> Option<&[u8]> {
    let (message, padding) = bytes.split_at_checked(length)?;
    (padding.is_empty() || PADDED.contains(&bytes.len())).then_some(message)
}

fn checksum_v2(message: &[u8]) -> Option<ChecksumSeen> {
    Sum::default()
        .with(message)
        .is_valid()
        .then_some(ChecksumSeen::MessageOnly)
}

fn checksum_v3(message: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Option<ChecksumSeen> {
    let forms = [
        (ChecksumSeen::MessageOnly, Sum::default()),
        (
            ChecksumSeen::PseudoHeader,
            pseudo_header(message, source, destination),
        ),
        (
            ChecksumSeen::PseudoHeaderMulticast,
            pseudo_header(message, source, GROUP),
        ),
    ];
    forms
        .into_iter()
        .find(|(_, before)| before.with(message).is_valid())
        .map(|(seen, _)| seen)
}

fn pseudo_header(message: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Sum {
    // The longest message, 255 addresses, has 1036 bytes.
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    Sum::pseudo_header(source, destination, length)
}

/// The authentication of version 2, whose data are at the end. Type 0 has none, and what is there is
/// ignored (`V2-03`).
fn authentication(number: u8, message: &[u8]) -> Result<Authentication, Reject> {
    match (number, message.last_chunk::<TRAILER>()) {
        (0, _) => Ok(Authentication::None),
        (PASS, Some(&data)) => Ok(Authentication::Pass(Password::from_wire(data))),
        _ => Err(Reject::AuthenticationType),
    }
}

/// Looks at every byte, so that the time it takes tells nothing of where they differ (`AU-01`).
fn same_password(theirs: [u8; 8], ours: [u8; 8]) -> bool {
    let difference = theirs
        .iter()
        .zip(ours)
        .fold(0, |difference, (theirs, ours)| {
            black_box(difference | (theirs ^ ours))
        });
    difference == 0
}

/// The interval in units of so many milliseconds, to the nearest, from 1 to `max`.
fn rounded(interval: Duration, unit_ms: u128, max: u16) -> u16 {
    let unit = unit_ms * 1_000_000;
    let units = (interval.as_nanos() + unit / 2) / unit;
    u16::try_from(units).unwrap_or(max).clamp(1, max)
}

#[cfg(test)]
mod captured;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
