//! The IPv4 header in front of what a raw socket receives (RFC 791 section 3.1).

use std::net::Ipv4Addr;

/// What matters of a header, and what follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Datagram<'a> {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) time_to_live: u8,
    /// As much as is there and belongs to the datagram by its total length; options are skipped.
    pub(crate) payload: &'a [u8],
}

/// Length of a header without options.
const HEADER: usize = 20;

/// Takes a datagram apart; `None` for bytes that are none. The kernel has checked all this before it
/// gives a packet to a raw socket; it is checked again since the bytes are a stranger's.
pub(crate) fn parse(bytes: &[u8]) -> Option<Datagram<'_>> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let [
        version_and_length,
        _,
        total_high,
        total_low,
        ..,
        s1,
        s2,
        s3,
        s4,
        d1,
        d2,
        d3,
        d4,
    ] = *header;
    let header_length = usize::from(version_and_length & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([total_high, total_low]));
    if version_and_length >> 4 != 4 || header_length < HEADER {
        return None;
    }
    let payload = bytes.get(header_length..total.min(bytes.len()))?;
    Some(Datagram {
        source: Ipv4Addr::new(s1, s2, s3, s4),
        destination: Ipv4Addr::new(d1, d2, d3, d4),
        time_to_live: header[8],
        payload,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A datagram of protocol 112 with `options` four-byte words of options.
    fn datagram(options: u8, payload: &[u8]) -> Vec<u8> {
        let header = usize::from(options) * 4 + HEADER;
        let total = u16::try_from(header + payload.len()).unwrap();
        let mut bytes = vec![0; header];
        bytes[0] = 0x45 + options;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[8] = 255;
        bytes[9] = 112;
        bytes[12..16].copy_from_slice(&[10, 0, 0, 1]);
        bytes[16..20].copy_from_slice(&[224, 0, 0, 18]);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn fields_are_read_from_their_places() {
        let bytes = datagram(0, b"vrrp");
        assert_eq!(
            parse(&bytes),
            Some(Datagram {
                source: Ipv4Addr::new(10, 0, 0, 1),
                destination: Ipv4Addr::new(224, 0, 0, 18),
                time_to_live: 255,
                payload: b"vrrp",
            })
        );
    }

    #[test]
    fn padding_behind_the_datagram_is_not_part_of_it() {
        let mut bytes = datagram(0, b"vrrp");
        bytes.extend_from_slice(&[0; 18]);
        assert_eq!(parse(&bytes).unwrap().payload, b"vrrp");
    }

    #[test]
    fn a_datagram_that_was_cut_off_gives_what_is_there() {
        let bytes = datagram(0, b"vrrp");
        assert_eq!(parse(&bytes[..22]).unwrap().payload, b"vr");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = datagram(2, b"vrrp");
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&good[..19]), None);
        assert_eq!(parse(&good[..27]), None, "cut off within the options");
        assert_eq!(parse(&with(0, 0x67)), None, "version 6");
        assert_eq!(parse(&with(0, 0x44)), None, "a header of 16 bytes");
        assert_eq!(
            parse(&with(3, 27)),
            None,
            "a total length within the options"
        );
    }

    proptest! {
        #[test]
        fn any_datagram_comes_apart_as_it_was_put_together(
            options in 0u8..=10,
            payload in prop::collection::vec(any::<u8>(), 0..1200),
        ) {
            let bytes = datagram(options, &payload);
            prop_assert_eq!(parse(&bytes).unwrap().payload, &payload[..]);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            if let Some(datagram) = parse(&bytes) {
                prop_assert!(datagram.payload.len() <= bytes.len() - HEADER);
            }
        }

        #[test]
        fn any_bytes_behind_a_plausible_start_are_survived(
            first in 0x45u8..=0x4f,
            rest in prop::collection::vec(any::<u8>(), 19..128),
        ) {
            let mut bytes = vec![first];
            bytes.extend(rest);
            if let Some(datagram) = parse(&bytes) {
                prop_assert!(datagram.payload.len() <= bytes.len() - HEADER);
            }
        }
    }
}
