//! What a grant of `probe` means. The worker checks it at each call, and the daemon again where it acts itself.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::{opens, unmapped};
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

    /// Whether this address (already [canonical](crate::canonical)) and port may be probed.
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
    /// This machine's loopback and link-local addresses, and where else metadata services live, count
    /// only when a grant names them or a part of their range: `0.0.0.0/0` does not open them.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|granted| opens(granted, address))
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    Some(unmapped(network).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_address;

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
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "64:ff9b::169.254.169.254",
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
