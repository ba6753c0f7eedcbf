//! What holds for all bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn address() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from_bits)
}

/// Everything that [`Outgoing`] points to.
#[derive(Debug)]
struct Sent {
    version: Version,
    id: NonZeroU8,
    priority: u8,
    interval: Duration,
    addresses: Vec<Ipv4Addr>,
    authentication: Authentication,
    checksum: ChecksumForm,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Sent {
    fn emit(&self) -> Vec<u8> {
        emit(&Outgoing {
            version: self.version,
            id: self.id,
            priority: self.priority,
            interval: self.interval,
            addresses: &self.addresses,
            authentication: &self.authentication,
            checksum: self.checksum,
            source: self.source,
            destination: self.destination,
        })
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Advertisement<'a>, Reject> {
        Advertisement::parse(bytes, self.source, self.destination, HOP_LIMIT)
    }

    fn expectation(&self) -> Expectation<'_> {
        Expectation {
            version: self.version,
            authentication: &self.authentication,
            advert_interval: self.interval,
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let version = prop_oneof![
        (
            1..=255u64,
            prop_oneof![
                Just(Authentication::None),
                any::<[u8; 8]>().prop_map(|data| Authentication::Pass(Password::from_wire(data))),
            ]
        )
            .prop_map(|(seconds, authentication)| (
                Version::V2,
                Duration::from_secs(seconds),
                authentication
            )),
        (1..=4095u64).prop_map(|centiseconds| (
            Version::V3,
            Duration::from_millis(10 * centiseconds),
            Authentication::None
        )),
    ];
    let checksum = prop_oneof![
        Just(ChecksumForm::MessageOnly),
        Just(ChecksumForm::PseudoHeader)
    ];
    (
        version,
        1..=255u8,
        any::<u8>(),
        vec(address(), 1..=255),
        checksum,
        address(),
        prop_oneof![Just(GROUP), address()],
    )
        .prop_map(
            |(versioned, id, priority, addresses, checksum, source, destination)| {
                let (version, interval, authentication) = versioned;
                Sent {
                    version,
                    id: NonZeroU8::new(id).unwrap(),
                    priority,
                    interval,
                    addresses,
                    authentication,
                    checksum,
                    source,
                    destination,
                }
            },
        )
}

/// Bytes that get past the first checks more often than random ones do.
fn almost_advertisement() -> impl Strategy<Value = Vec<u8>> {
    (
        prop_oneof![Just(0x21), Just(0x31)],
        0..8u8,
        vec(any::<u8>(), 0..64),
    )
        .prop_map(|(first, count, mut bytes)| {
            if let Some(byte) = bytes.get_mut(0) {
                *byte = first;
            }
            if let Some(byte) = bytes.get_mut(3) {
                *byte = count;
            }
            bytes
        })
}

proptest! {
    #[test]
    fn v3_31_no_bytes_make_the_parser_panic(
        bytes in prop_oneof![vec(any::<u8>(), 0..2_000), almost_advertisement()],
        source in address(),
        destination in address(),
    ) {
        let _ = peek_id(&bytes);
        if let Ok(read) = Advertisement::parse(&bytes, source, destination, HOP_LIMIT) {
            prop_assert_eq!(peek_id(&bytes), Some(read.id.get()));
            prop_assert!(read.addresses.iter().count() > 0);
            prop_assert!(!read.interval.is_zero());
        }
    }

    #[test]
    fn what_is_sent_is_read_back(sent in sent()) {
        let bytes = sent.emit();
        let read = sent.parse(&bytes).unwrap();
        prop_assert_eq!(read.version, sent.version);
        prop_assert_eq!(read.id, sent.id);
        prop_assert_eq!(read.priority, sent.priority);
        prop_assert_eq!(read.interval, sent.interval);
        prop_assert!(read.addresses.iter().eq(sent.addresses.iter().copied()));
        prop_assert_eq!(&read.authentication, &sent.authentication);
        prop_assert_eq!(read.admit(&sent.expectation()), Ok(()));
    }

    #[test]
    fn v3_26_no_single_bit_that_flips_goes_unnoticed(sent in sent(), at in any::<prop::sample::Index>()) {
        let mut bytes = sent.emit();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let admitted = sent
            .parse(&bytes)
            .and_then(|read| read.admit(&sent.expectation()));
        prop_assert!(admitted.is_err(), "bit {} of {:02x?}", bit, bytes);
    }
}
