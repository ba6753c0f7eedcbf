//! Addresses of peers: how they are spelled, and which of them a grant for everything does not open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Parses an address as strictly as the contract wants it: a literal, no zone, no short or octal
/// spelling. IPv4 addresses mapped into IPv6 become IPv4, so that they meet the grants of IPv4.
///
/// `None` also for what cannot be a peer: unspecified, multicast and broadcast addresses.
#[must_use]
pub fn peer_address(text: &str) -> Option<IpAddr> {
    canonical(text.parse().ok()?)
}

/// As [`peer_address`], for an address that somebody else has parsed.
#[must_use]
pub fn canonical(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    let peer = match address {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
    };
    peer.then_some(address)
}

/// A prefix of IPv4 addresses mapped into IPv6, as one of IPv4.
pub(crate) fn unmapped(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
        && let Ok(v4) = Ipv4Net::new(v4, length)
    {
        return v4.into();
    }
    network
}

/// Whether a grant for this network is one for this address (already [canonical](peer_address)).
#[must_use]
pub fn opens(granted: &IpNet, address: IpAddr) -> bool {
    let range = special_range(address);
    granted.contains(&address) && range.is_none_or(|range| range.contains(granted))
}

/// The range of an address that only a grant within that range opens: loopback, link-local with most
/// metadata services in it, the addresses of the others, and what a gateway translates to such.
#[must_use]
pub fn special_range(address: IpAddr) -> Option<IpNet> {
    if let IpAddr::V6(v6) = address
        && let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments()
    {
        let translated = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
        let range = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
        return special_range(translated.into()).map(|_| range.into());
    }
    let ranges: [IpNet; 9] = [
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16).into(),
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10).into(),
        // Metadata services and agents elsewhere: Alibaba, Azure, Oracle, and Google's in IPv6.
        Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 192), 32).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128).into(),
    ];
    ranges.into_iter().find(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t20_forty_spellings_are_no_addresses() {
        let spellings = [
            "",
            " ",
            "localhost",
            "localhost.",
            "ip6-localhost",
            "1.2.3.4.nip.io",
            "127.1",
            "127.0.1",
            "127.0.0.1.",
            "127..0.0.1",
            "0x7f.0.0.1",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "017700000001",
            "2130706433",
            "127.0.0.1 ",
            " 127.0.0.1",
            "127.0.0.1\0",
            "127.0.0.1\n",
            "127.0.0.1:80",
            "127.0.0.1/",
            "１２７.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[::1]:80",
            "::1/128",
            "fe80::1%eth0",
            "fe80::1%1",
            "::ffff:127.1",
            "::ffff:0x7f.0.0.1",
            "1.2.3.4/32",
            "user@1.2.3.4",
            "http://1.2.3.4",
            "//1.2.3.4",
            "0.0.0.0",
            "0",
            "::",
            "::ffff:0.0.0.0",
            "224.0.0.18",
            "::ffff:224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "1.2.3.256",
            "1.2.3.04",
            "1.2.3.-4",
            "+1.2.3.4",
        ];
        assert!(spellings.len() >= 40);
        for text in spellings {
            assert_eq!(peer_address(text), None, "{text}");
        }
        // Those that are one meet the grants of what they are.
        for (text, is) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::ffff:7f00:1", "127.0.0.1"),
            ("0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"),
            ("0000:0000:0000:0000:0000:0000:0000:0001", "::1"),
        ] {
            let address = peer_address(text);
            assert_eq!(address, is.parse().ok(), "{text}");
            assert!(
                !opens(&"0.0.0.0/0".parse().unwrap(), address.unwrap()),
                "{text}"
            );
            assert!(!opens(&"::/0".parse().unwrap(), address.unwrap()), "{text}");
        }
    }
}
