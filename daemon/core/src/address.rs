//! Addresses with their prefix length, as they are put on an interface.

use std::fmt;
use std::net::{AddrParseError, Ipv4Addr};
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Index of a network interface, as the kernel numbers it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct InterfaceIndex(pub u32);

/// An Ethernet address.
pub type MacAddress = [u8; 6];

/// The family of a virtual router. RFC 9568 section 1 keeps the families apart (`V3-08`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    Ipv4,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4 => f.write_str("ipv4"),
        }
    }
}

/// An IPv4 address with the length of its network's prefix, such as `192.168.1.100/24`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    address: Ipv4Addr,
    length: u8,
}

impl Prefix {
    /// The address with this prefix length; `None` for a length over 32.
    pub fn new(address: Ipv4Addr, length: u8) -> Option<Self> {
        (length <= 32).then_some(Self { address, length })
    }

    /// The address.
    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    /// The length of the network's prefix, 0 to 32.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether it is the address of the network itself, which no host can have. A network of two
    /// addresses or one has none such (RFC 3021).
    pub fn is_network(self) -> bool {
        self.length < 31 && self.address.to_bits() & self.host_bits() == 0
    }

    /// Whether it is the broadcast address of its network; likewise.
    pub fn is_broadcast(self) -> bool {
        self.length < 31 && self.address.to_bits() | !self.host_bits() == u32::MAX
    }

    fn host_bits(self) -> u32 {
        u32::MAX.checked_shr(self.length.into()).unwrap_or(0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `ADDRESS/LENGTH`; an address alone is a host, `/32`.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, length.parse()?),
            None => (text, 32),
        };
        Self::new(address.parse()?, length).ok_or(PrefixError::Long(length))
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Why a text is no [`Prefix`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PrefixError {
    /// The part before the slash.
    #[error("not an IPv4 address")]
    Address(#[from] AddrParseError),
    /// The part after the slash.
    #[error("the prefix length is not a number")]
    Length(#[from] ParseIntError),
    /// Over 32.
    #[error("a prefix length of {0} is over 32")]
    Long(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_reads_back_as_it_prints() {
        let prefix: Prefix = "192.168.1.100/24".parse().unwrap();
        assert_eq!(prefix.to_string(), "192.168.1.100/24");
        assert_eq!("10.0.0.1".parse::<Prefix>().unwrap().length(), 32);
    }

    #[test]
    fn a_network_has_two_addresses_that_no_host_can_have() {
        for (text, network, broadcast) in [
            ("192.0.2.0/24", true, false),
            ("192.0.2.255/24", false, true),
            ("192.0.2.1/24", false, false),
            ("192.0.2.0/23", true, false),
            ("192.0.2.255/23", false, false),
            ("192.0.2.4/30", true, false),
            ("192.0.2.7/30", false, true),
            ("192.0.2.0/31", false, false),
            ("192.0.2.1/31", false, false),
            ("192.0.2.0/32", false, false),
            ("192.0.2.255/32", false, false),
            ("10.0.0.0/1", false, false),
        ] {
            let prefix: Prefix = text.parse().unwrap();
            assert_eq!(prefix.is_network(), network, "{text}");
            assert_eq!(prefix.is_broadcast(), broadcast, "{text}");
        }
    }

    #[test]
    fn a_wrong_prefix_says_which_half_is_wrong() {
        assert!(matches!(
            "10.0.0/8".parse::<Prefix>(),
            Err(PrefixError::Address(_))
        ));
        assert!(matches!(
            "10.0.0.1/x".parse::<Prefix>(),
            Err(PrefixError::Length(_))
        ));
        assert_eq!("10.0.0.1/33".parse::<Prefix>(), Err(PrefixError::Long(33)));
    }
}
