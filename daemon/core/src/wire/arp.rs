//! Gratuitous ARP: telling the neighbours which Ethernet address an IPv4 address lives at now.

use std::net::Ipv4Addr;

use crate::address::MacAddress;

/// Length of the frame: 14 bytes of Ethernet, 28 of ARP. The sender's hardware pads it.
pub const LENGTH: usize = 42;

const BROADCAST: MacAddress = [0xff; 6];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const HARDWARE_ETHERNET: [u8; 2] = [0, 1];
const PROTOCOL_IPV4: [u8; 2] = [0x08, 0x00];
const REQUEST: [u8; 2] = [0, 1];

/// The frame by which `mac` says that `address` is here: a broadcast ARP request in which `address`
/// is both sender and target, with `mac` as both hardware addresses (`V3-35`, `V3-43`).
///
/// ```text
///    0       1       2       3       4       5
/// ┌───────┬───────┬───────┬───────┬───────┬───────┐
/// │ destination: ff:ff:ff:ff:ff:ff                │
/// ├───────────────────────────────────────────────┤
/// │ source: mac                                   │
/// ├───────────────┬───────────────┬───────────────┤
/// │ 0806 ARP      │ 0001 Ethernet │ 0800 IPv4     │
/// ├───────┬───────┼───────────────┼───────────────┘
/// │   6   │   4   │ 0001 request  │
/// ├───────┴───────┴───────────────┴───────────────┐
/// │ sender: mac                                   │
/// ├───────────────────────────────┬───────────────┘
/// │ sender: address               │
/// ├───────────────────────────────┴───────────────┐
/// │ target: mac                                   │
/// ├───────────────────────────────┬───────────────┘
/// │ target: address               │
/// └───────────────────────────────┘
/// ```
pub fn gratuitous(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(LENGTH);
    frame.extend(BROADCAST);
    frame.extend(mac);
    frame.extend(ETHERTYPE_ARP);
    frame.extend(HARDWARE_ETHERNET);
    frame.extend(PROTOCOL_IPV4);
    frame.extend([6, 4]);
    frame.extend(REQUEST);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend(mac);
    frame.extend(address.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sent by Debian's keepalived 2.2.7 for 192.168.1.100 on an interface with this address.
    const KEEPALIVED: [u8; LENGTH] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0xe2, 0x85, 0xe4, 0x00, 0x79, 0x08, 0x06, 0x00,
        0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0x02, 0xe2, 0x85, 0xe4, 0x00, 0x79, 0xc0, 0xa8,
        0x01, 0x64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 0xa8, 0x01, 0x64,
    ];
    const MAC: MacAddress = [0x02, 0xe2, 0x85, 0xe4, 0x00, 0x79];
    /// Where the target's hardware address is, which no receiver of a request looks at.
    const TARGET_MAC: std::ops::Range<usize> = 32..38;

    #[test]
    fn v3_43_the_frame_is_keepaliveds_but_for_the_targets_hardware_address() {
        let mut expected = KEEPALIVED;
        expected[TARGET_MAC].copy_from_slice(&MAC);
        assert_eq!(
            gratuitous(MAC, Ipv4Addr::new(192, 168, 1, 100)),
            expected.to_vec()
        );
    }
}
