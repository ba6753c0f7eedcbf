//! What a grant of `probe` means. The worker checks it at each call, and the daemon again where it acts itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::plugin::ProbeGrant;
use crate::question::Origin;

/// A grant in the form in which it is checked.
#[derive(Clone, Debug, Default)]
pub struct ProbeRules {
    grant: ProbeGrant,
    networks: Vec<IpNet>,
}

impl ProbeRules {
    /// Takes over the grant of the configuration.
    ///
    /// # Errors
    /// Every address that is neither a literal nor a prefix in CIDR form.
    pub fn new(grant: ProbeGrant) -> Result<Self, Vec<String>> {
        let mut networks = Vec::new();
        let mut wrong = Vec::new();
        for text in &grant.addresses {
            match network(text) {
                Some(network) => networks.push(network),
                None => wrong.push(text.clone()),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self { grant, networks })
    }

    /// The grant as it was written.
    #[must_use]
    pub fn grant(&self) -> &ProbeGrant {
        &self.grant
    }

    /// Whether this address (already [canonical](peer_address)) and port may be probed.
    #[must_use]
    pub fn allows(&self, address: IpAddr, port: u16) -> bool {
        self.grant.ports.contains(&port) && self.covers(address)
    }

    /// Whether this address may be sent an ICMP echo.
    #[must_use]
    pub fn allows_echo(&self, address: IpAddr) -> bool {
        self.grant.icmp && self.covers(address)
    }

    /// Whether a probe may come from there.
    #[must_use]
    pub fn allows_origin(&self, origin: &Origin) -> bool {
        origin.is_among(&self.grant.sources, &self.grant.fwmarks)
    }

    /// Whether this address is one of the grant's.
    ///
    /// This machine's loopback and link-local addresses, where metadata services live, count only
    /// when a grant names them or a part of their range: `0.0.0.0/0` does not open them.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|granted| opens(granted, address))
    }
}

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

fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    Some(unmapped(network).trunc())
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

/// The range of an address that only a grant within that range opens: loopback, link-local with the
/// metadata services in it, their address in IPv6, and what a gateway translates to such.
#[must_use]
pub fn special_range(address: IpAddr) -> Option<IpNet> {
    if let IpAddr::V6(v6) = address
        && let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments()
    {
        let translated = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
        let range = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
        return special_range(translated.into()).map(|_| range.into());
    }
    let ranges: [IpNet; 5] = [
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
        Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16).into(),
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128).into(),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10).into(),
    ];
    ranges.into_iter().find(|range| range.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(addresses: &[&str], ports: &[u16]) -> ProbeRules {
        ProbeRules::new(ProbeGrant {
            addresses: addresses.iter().map(|&a| a.to_owned()).collect(),
            ports: ports.to_vec(),
            ..ProbeGrant::default()
        })
        .unwrap()
    }

    fn allowed(rules: &ProbeRules, text: &str, port: u16) -> bool {
        peer_address(text).is_some_and(|address| rules.allows(address, port))
    }

    #[test]
    fn address_and_port_must_both_match() {
        let rules = rules(&["10.0.0.0/24", "2001:db8::1"], &[80]);
        assert!(allowed(&rules, "10.0.0.7", 80));
        assert!(allowed(&rules, "2001:db8::1", 80));
        assert!(allowed(&rules, "::ffff:10.0.0.7", 80));
        assert!(!allowed(&rules, "10.0.0.7", 81));
        assert!(!allowed(&rules, "10.0.1.7", 80));
        assert!(!allowed(&rules, "2001:db8::2", 80));
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!allowed(&ProbeRules::default(), "10.0.0.1", 80));
        assert!(!allowed(&rules(&["0.0.0.0/0"], &[]), "10.0.0.1", 80));
        assert!(!allowed(&rules(&[], &[80]), "10.0.0.1", 80));
    }

    #[test]
    fn t21_a_grant_for_everything_does_not_open_this_machine_or_its_metadata() {
        let wide = rules(&["0.0.0.0/0", "::/0"], &[80]);
        for special in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
        ] {
            assert!(!allowed(&wide, special, 80), "{special}");
        }
        assert!(allowed(&wide, "8.8.8.8", 80));
        let named = rules(&["127.0.0.1", "::1", "fe80::/64"], &[80]);
        assert!(allowed(&named, "127.0.0.1", 80));
        assert!(allowed(&named, "::1", 80));
        assert!(allowed(&named, "fe80::1", 80));
        assert!(!allowed(&named, "127.0.0.2", 80));
    }

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
        let wide = rules(&["0.0.0.0/0", "::/0"], &[80]);
        for (text, is) in [
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::ffff:7f00:1", "127.0.0.1"),
            ("0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"),
            ("0000:0000:0000:0000:0000:0000:0000:0001", "::1"),
        ] {
            assert_eq!(peer_address(text), is.parse().ok(), "{text}");
            assert!(!allowed(&wide, text, 80), "{text}");
        }
    }

    #[test]
    fn a_grant_that_is_no_address_is_named() {
        let grant = ProbeGrant {
            addresses: vec!["10.0.0.1".into(), "web1".into(), "10.0.0.0/33".into()],
            ..ProbeGrant::default()
        };
        assert_eq!(ProbeRules::new(grant).unwrap_err(), ["web1", "10.0.0.0/33"]);
    }

    #[test]
    fn a_source_a_mark_and_an_echo_are_granted_apart() {
        let address = peer_address("10.0.0.7").unwrap();
        let plain = rules(&["10.0.0.0/24"], &[80]);
        assert!(!plain.allows_echo(address));
        assert!(plain.allows_origin(&Origin::default()));
        let from = |source: Option<&str>, fwmark| Origin {
            source: source.map(|text| text.parse().unwrap()),
            fwmark,
        };
        assert!(!plain.allows_origin(&from(Some("10.0.0.1"), None)));
        assert!(!plain.allows_origin(&from(None, Some(7))));
        let mut grant = plain.grant().clone();
        (grant.icmp, grant.fwmarks) = (true, vec![7]);
        grant.sources = vec!["10.0.0.1".parse().unwrap()];
        let rules = ProbeRules::new(grant).unwrap();
        assert!(rules.allows_echo(address));
        assert!(!rules.allows_echo(peer_address("10.0.1.7").unwrap()));
        assert!(rules.allows_origin(&from(Some("::ffff:10.0.0.1"), Some(7))));
        assert!(!rules.allows_origin(&from(Some("10.0.0.2"), Some(7))));
        assert!(!rules.allows_origin(&from(Some("10.0.0.1"), Some(8))));
    }

    #[test]
    fn a_mapped_grant_is_a_grant_of_ipv4() {
        let rules = rules(&["::ffff:10.0.0.0/120"], &[80]);
        assert!(allowed(&rules, "10.0.0.9", 80));
        assert!(!allowed(&rules, "10.0.1.9", 80));
    }
}
