//! Advertisements captured from Debian's keepalived 2.2.7, and what they say.
//!
//! Taken with tcpdump on a veth between two network namespaces, without their IP header. Common to
//! all configurations:
//!
//! ```text
//! vrrp_instance w {
//!   state BACKUP
//!   interface wa          # 192.168.1.1/24
//!   virtual_router_id 51
//!   priority 100
//!   virtual_ipaddress { 192.168.1.100/24 }
//! }
//! ```

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::*;

pub(super) const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
const VIP_2: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 101);
const VIP_3: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// `version 2`, `advert_int 1`, `authentication { auth_type PASS auth_pass s3cret }`.
pub(super) const V2_PASS: [u8; 20] = [
    0x21, 0x33, 0x64, 0x01, 0x01, 0x01, 0x7b, 0xa3, 0xc0, 0xa8, 0x01, 0x64, 0x73, 0x33, 0x63, 0x72,
    0x65, 0x74, 0x00, 0x00,
];

/// The last one of the same instance, sent when keepalived was stopped.
const V2_PASS_STOP: [u8; 20] = [
    0x21, 0x33, 0x00, 0x01, 0x01, 0x01, 0xdf, 0xa3, 0xc0, 0xa8, 0x01, 0x64, 0x73, 0x33, 0x63, 0x72,
    0x65, 0x74, 0x00, 0x00,
];

/// `version 2`, `advert_int 1`, a second address 192.168.1.101/24.
pub(super) const V2_NONE: [u8; 24] = [
    0x21, 0x33, 0x64, 0x02, 0x00, 0x01, 0xf6, 0xae, 0xc0, 0xa8, 0x01, 0x64, 0xc0, 0xa8, 0x01, 0x65,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// `version 3`, `advert_int 1`.
pub(super) const V3_SECOND: [u8; 12] = [
    0x31, 0x33, 0x64, 0x01, 0x00, 0x64, 0x06, 0x22, 0xc0, 0xa8, 0x01, 0x64,
];

/// `version 3`, `advert_int 0.1`, two more addresses 192.168.1.101/24 and 10.0.0.1/32.
pub(super) const V3_FAST: [u8; 20] = [
    0x31, 0x33, 0x64, 0x03, 0x00, 0x0a, 0x3a, 0x63, 0xc0, 0xa8, 0x01, 0x64, 0xc0, 0xa8, 0x01, 0x65,
    0x0a, 0x00, 0x00, 0x01,
];

/// `version 3`, `advert_int 1`, `unicast_src_ip 192.168.1.1`, `unicast_peer { 192.168.1.2 }`.
const V3_UNICAST: [u8; 12] = [
    0x31, 0x33, 0x64, 0x01, 0x00, 0x64, 0x24, 0x8a, 0xc0, 0xa8, 0x01, 0x64,
];

/// A capture beside what it means.
struct Capture {
    bytes: &'static [u8],
    destination: Ipv4Addr,
    version: Version,
    priority: u8,
    interval: Duration,
    addresses: &'static [Ipv4Addr],
    authentication: Authentication,
    checksum: ChecksumSeen,
}

fn captures() -> [Capture; 6] {
    let pass = || Authentication::Pass(Password::new("s3cret").unwrap());
    let second = Duration::from_secs(1);
    [
        Capture {
            bytes: &V2_PASS,
            destination: GROUP,
            version: Version::V2,
            priority: 100,
            interval: second,
            addresses: &[VIP],
            authentication: pass(),
            checksum: ChecksumSeen::MessageOnly,
        },
        Capture {
            bytes: &V2_PASS_STOP,
            destination: GROUP,
            version: Version::V2,
            priority: 0,
            interval: second,
            addresses: &[VIP],
            authentication: pass(),
            checksum: ChecksumSeen::MessageOnly,
        },
        Capture {
            bytes: &V2_NONE,
            destination: GROUP,
            version: Version::V2,
            priority: 100,
            interval: second,
            addresses: &[VIP, VIP_2],
            authentication: Authentication::None,
            checksum: ChecksumSeen::MessageOnly,
        },
        Capture {
            bytes: &V3_SECOND,
            destination: GROUP,
            version: Version::V3,
            priority: 100,
            interval: second,
            addresses: &[VIP],
            authentication: Authentication::None,
            checksum: ChecksumSeen::PseudoHeader,
        },
        Capture {
            bytes: &V3_FAST,
            destination: GROUP,
            version: Version::V3,
            priority: 100,
            interval: Duration::from_millis(100),
            addresses: &[VIP, VIP_2, VIP_3],
            authentication: Authentication::None,
            checksum: ChecksumSeen::PseudoHeader,
        },
        Capture {
            bytes: &V3_UNICAST,
            destination: PEER,
            version: Version::V3,
            priority: 100,
            interval: second,
            addresses: &[VIP],
            authentication: Authentication::None,
            checksum: ChecksumSeen::PseudoHeader,
        },
    ]
}

#[test]
fn keepaliveds_advertisements_are_read() {
    for capture in captures() {
        let read = Advertisement::parse(capture.bytes, SOURCE, capture.destination, 255).unwrap();
        assert_eq!(read.version, capture.version);
        assert_eq!(read.id.get(), 51);
        assert_eq!(read.priority, capture.priority);
        assert_eq!(read.interval, capture.interval);
        assert!(read.addresses.iter().eq(capture.addresses.iter().copied()));
        assert_eq!(read.authentication, capture.authentication);
        assert_eq!(read.checksum, capture.checksum);
        read.admit(&Expectation {
            version: capture.version,
            authentication: &capture.authentication,
            advert_interval: capture.interval,
        })
        .unwrap();
    }
}

#[test]
fn the_same_advertisements_are_written_byte_for_byte() {
    for capture in captures() {
        let written = emit(&Outgoing {
            version: capture.version,
            id: NonZeroU8::new(51).unwrap(),
            priority: capture.priority,
            interval: capture.interval,
            addresses: capture.addresses,
            authentication: &capture.authentication,
            checksum: ChecksumForm::PseudoHeader,
            source: SOURCE,
            destination: capture.destination,
        });
        assert_eq!(written, capture.bytes);
    }
}
