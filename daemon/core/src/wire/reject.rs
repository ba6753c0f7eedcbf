//! Why a received VRRP packet is not believed.

use std::fmt;

/// The reason for which a packet was discarded. Its name in [`Reject::as_str`] is the label under
/// which it is counted in the status and in the metrics.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reject {
    /// Time to live other than 255: it may come from another network (`V3-03`).
    HopLimit,
    /// Shorter than the header of eight bytes (`V3-25`).
    TooShort,
    /// Not a version that is known, or not the one that the router speaks (`V3-23`).
    Version,
    /// Not an advertisement (`V3-06`, `V3-24`).
    Type,
    /// Not the length that its count of addresses asks for (`V3-25`, `V3-31`, `V2-01`).
    Length,
    /// Valid in none of the accepted forms (`V3-26`, `V3-12`, `V3-13`, `V3-15`, `V2-02`).
    Checksum,
    /// No virtual address (`V3-10`).
    NoAddresses,
    /// An interval of zero, which would time out at once (`V3-11`).
    IntervalZero,
    /// No virtual router of that id on the interface (`V3-27`, `V2-06`), or id 0 (`V3-08`).
    VirtualRouterId,
    /// An unknown authentication type, or another one than configured (`V2-03`).
    AuthenticationType,
    /// A wrong password (`V2-03`, `AU-01`).
    AuthenticationData,
    /// Another interval than configured, with version 2 (`V2-04`).
    Interval,
    /// It carries this node's own source address: looped back, or somebody has the same address
    /// (`V3-65`).
    OwnAddress,
}

impl Reject {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 13] = [
        Self::HopLimit,
        Self::TooShort,
        Self::Version,
        Self::Type,
        Self::Length,
        Self::Checksum,
        Self::NoAddresses,
        Self::IntervalZero,
        Self::VirtualRouterId,
        Self::AuthenticationType,
        Self::AuthenticationData,
        Self::Interval,
        Self::OwnAddress,
    ];

    /// The label: kebab-case, stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HopLimit => "hop-limit",
            Self::TooShort => "too-short",
            Self::Version => "version",
            Self::Type => "type",
            Self::Length => "length",
            Self::Checksum => "checksum",
            Self::NoAddresses => "no-addresses",
            Self::IntervalZero => "interval-zero",
            Self::VirtualRouterId => "virtual-router-id",
            Self::AuthenticationType => "authentication-type",
            Self::AuthenticationData => "authentication-data",
            Self::Interval => "interval",
            Self::OwnAddress => "own-address",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variant's name in kebab-case, by which label and variant cannot drift apart.
    fn kebab_case(reject: Reject) -> String {
        let mut label = String::new();
        for letter in format!("{reject:?}").chars() {
            if letter.is_uppercase() && !label.is_empty() {
                label.push('-');
            }
            label.push(letter.to_ascii_lowercase());
        }
        label
    }

    #[test]
    fn every_label_is_the_name_of_its_variant() {
        for reject in Reject::ALL {
            assert_eq!(reject.as_str(), kebab_case(reject));
            assert_eq!(reject.to_string(), reject.as_str());
        }
    }

    #[test]
    fn no_reason_is_listed_twice() {
        let labels: std::collections::BTreeSet<&str> =
            Reject::ALL.iter().map(|reject| reject.as_str()).collect();
        assert_eq!(labels.len(), Reject::ALL.len());
    }
}
