//! The internet checksum (RFC 1071): the complement of the sum of all 16-bit words, where a carry
//! is added back at the other end.

use std::net::Ipv4Addr;

/// IP protocol number of VRRP (`V3-01`), which is part of the pseudo-header.
const VRRP: u16 = 112;

/// A sum in one's complement that bytes can be added to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum(u16);

impl Sum {
    /// The sum over the pseudo-header that stands before a message in `V3-13`:
    ///
    /// ```text
    ///    0       1       2       3
    /// ┌───────┬───────┬───────┬───────┐
    /// │ source address                │
    /// ├───────┴───────┴───────┴───────┤
    /// │ destination address           │
    /// ├───────┬───────┬───────┬───────┤
    /// │   0   │  112  │ message length│
    /// └───────┴───────┴───────┴───────┘
    /// ```
    ///
    /// `length` counts the bytes of the VRRP message alone.
    pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, length: u16) -> Self {
        Self::default()
            .with(&source.octets())
            .with(&destination.octets())
            .word(VRRP)
            .word(length)
    }

    /// The sum with these bytes added; an odd one at the end counts as if a zero followed it.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        bytes.chunks(2).fold(self, |sum, pair| match *pair {
            [high, low] => sum.word(u16::from_be_bytes([high, low])),
            [high] => sum.word(u16::from_be_bytes([high, 0])),
            _ => sum,
        })
    }

    /// What belongs into the checksum field, when that field was added as zero.
    pub fn checksum(self) -> u16 {
        !self.0
    }

    /// Whether the bytes added, checksum field included, are as their sender summed them up.
    pub fn is_valid(self) -> bool {
        self.0 == u16::MAX
    }

    fn word(self, word: u16) -> Self {
        let (sum, carry) = self.0.overflowing_add(word);
        // With a carry the sum is at most 0xfffe, so this cannot overflow.
        Self(sum + u16::from(carry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_section_3_sums_up() {
        let sum = Sum::default().with(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.checksum(), !0xddf2);
    }

    #[test]
    fn an_odd_byte_counts_as_the_high_half_of_a_word() {
        assert_eq!(
            Sum::default().with(&[0xab]),
            Sum::default().with(&[0xab, 0])
        );
        assert_ne!(
            Sum::default().with(&[0xab]),
            Sum::default().with(&[0, 0xab])
        );
    }

    #[test]
    fn a_carry_comes_back_at_the_low_end() {
        let sum = Sum::default().with(&[0xff, 0xff, 0x00, 0x02]);
        assert_eq!(sum.checksum(), !0x0002);
    }

    #[test]
    fn any_length_can_be_added() {
        let sum = Sum::default().with(&vec![0xff; 300_001]);
        assert_eq!(sum.checksum(), !0xff00);
    }

    #[test]
    fn the_pseudo_header_is_twelve_bytes_of_addresses_protocol_and_length() {
        let source = Ipv4Addr::new(192, 168, 1, 1);
        let destination = Ipv4Addr::new(224, 0, 0, 18);
        let bytes = [192, 168, 1, 1, 224, 0, 0, 18, 0, 112, 0x01, 0x02];
        assert_eq!(
            Sum::pseudo_header(source, destination, 0x0102),
            Sum::default().with(&bytes)
        );
    }

    #[test]
    fn only_a_sum_of_all_ones_is_valid() {
        assert!(Sum::default().with(&[0xff, 0xff]).is_valid());
        assert!(Sum::default().with(&[0xff, 0x00, 0x00, 0xff]).is_valid());
        assert!(!Sum::default().with(&[0xff, 0xfe]).is_valid());
        assert!(!Sum::default().is_valid());
    }
}
