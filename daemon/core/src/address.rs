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
