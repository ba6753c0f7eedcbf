//! One table or example per rule; each starts from a captured advertisement and breaks one thing.

use super::captured::{SOURCE, V2_NONE, V2_PASS, V3_FAST, V3_SECOND};
use super::*;

fn parse_from_source(bytes: &[u8]) -> Result<Advertisement<'_>, Reject> {
    Advertisement::parse(bytes, SOURCE, GROUP, HOP_LIMIT)
}

/// The message with these bytes put in at `offset`, and a checksum that is right again.
fn changed(message: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[offset..offset + bytes.len()].copy_from_slice(bytes);
    let before = match message[0] >> 4 {
        2 => Sum::default(),
        _ => pseudo_header(&message, SOURCE, GROUP),
    };
    summed(message, before)
}

/// The message with the checksum that follows from `before`.
fn summed(mut message: Vec<u8>, before: Sum) -> Vec<u8> {
    message[CHECKSUM].fill(0);
    let checksum = before.with(&message).checksum();
    message[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    message
}

fn second_v3() -> Outgoing<'static> {
    Outgoing {
        version: Version::V3,
        id: NonZeroU8::new(51).unwrap(),
        priority: 100,
        interval: Duration::from_secs(1),
        addresses: const { &[Ipv4Addr::new(192, 168, 1, 100)] },
        authentication: &Authentication::None,
        checksum: ChecksumForm::PseudoHeader,
        source: SOURCE,
        destination: GROUP,
    }
}

fn interval_bytes(version: Version, interval: Duration) -> [u8; 2] {
    let message = emit(&Outgoing {
        version,
        interval,
        ..second_v3()
    });
    [message[4], message[5]]
}

fn password(text: &str) -> Authentication {
    Authentication::Pass(Password::new(text).unwrap())
}

fn admit_v2(bytes: &[u8], authentication: &Authentication, seconds: u64) -> Result<(), Reject> {
    parse_from_source(bytes).unwrap().admit(&Expectation {
        version: Version::V2,
        authentication,
        advert_interval: Duration::from_secs(seconds),
    })
}

#[test]
fn v3_01_the_group_and_the_protocol_are_those_of_the_rfc() {
    assert_eq!(GROUP.octets(), [224, 0, 0, 18]);
    assert_eq!(PROTOCOL, 112);
}

#[test]
fn v3_02_the_time_to_live_sent_is_255() {
    assert_eq!(HOP_LIMIT, 255);
}

#[test]
fn v3_03_any_other_time_to_live_is_rejected() {
    for hop_limit in 0..=254 {
        assert_eq!(
            Advertisement::parse(&V3_SECOND, SOURCE, GROUP, hop_limit),
            Err(Reject::HopLimit)
        );
    }
    assert!(Advertisement::parse(&V3_SECOND, SOURCE, GROUP, 255).is_ok());
}

#[test]
fn v3_05_v2_01_the_length_follows_from_version_and_count() {
    let addresses = [Ipv4Addr::new(10, 0, 0, 1); 255];
    for count in [1, 2, 255] {
        let v3 = Outgoing {
            addresses: &addresses[..count],
            ..second_v3()
        };
        let v2 = Outgoing {
            version: Version::V2,
            ..v3
        };
        assert_eq!(emit(&v3).len(), 8 + 4 * count);
        assert_eq!(emit(&v2).len(), 8 + 4 * count + 8);
    }
}

#[test]
fn v3_06_v3_24_any_other_type_is_rejected() {
    for kind in (0..16).filter(|kind| *kind != 1) {
        let bytes = changed(&V3_SECOND, 0, &[0x30 | kind]);
        assert_eq!(parse_from_source(&bytes), Err(Reject::Type));
        let bytes = changed(&V2_PASS, 0, &[0x20 | kind]);
        assert_eq!(parse_from_source(&bytes), Err(Reject::Type));
    }
}

#[test]
fn v3_07_reserved_bits_are_zero_when_sent_and_ignored_when_received() {
    assert_eq!(
        interval_bytes(Version::V3, Duration::from_millis(40_950)),
        [0x0f, 0xff]
    );
    let bytes = changed(&V3_SECOND, 4, &[0xf0]);
    let read = parse_from_source(&bytes).unwrap();
    assert_eq!(read.interval, Duration::from_secs(1));
}

#[test]
fn v3_08_id_0_is_no_router_and_255_is_one() {
    let bytes = changed(&V3_SECOND, 1, &[0]);
    assert_eq!(parse_from_source(&bytes), Err(Reject::VirtualRouterId));
    let bytes = changed(&V3_SECOND, 1, &[255]);
    assert_eq!(parse_from_source(&bytes).unwrap().id.get(), 255);
}

#[test]
fn v3_09_every_priority_is_read() {
    for priority in 0..=255 {
        let bytes = changed(&V3_SECOND, 2, &[priority]);
        assert_eq!(parse_from_source(&bytes).unwrap().priority, priority);
    }
}

#[test]
fn v3_10_an_advertisement_without_address_is_rejected() {
    let v3 = changed(&V3_SECOND[..8], 3, &[0]);
    assert_eq!(parse_from_source(&v3), Err(Reject::NoAddresses));
    let v2 = changed(&V2_PASS[..16], 3, &[0]);
    assert_eq!(parse_from_source(&v2), Err(Reject::NoAddresses));
}

#[test]
fn v3_11_an_interval_of_zero_is_rejected() {
    for bytes in [
        changed(&V3_SECOND, 4, &[0, 0]),
        changed(&V3_SECOND, 4, &[0xf0, 0]),
        changed(&V2_PASS, 5, &[0]),
    ] {
        assert_eq!(parse_from_source(&bytes), Err(Reject::IntervalZero));
    }
}

#[test]
fn v3_11_intervals_go_from_10_ms_to_40950_ms_to_the_nearest_centisecond() {
    for (milliseconds, expected) in [
        (0, 1),
        (10, 1),
        (14, 1),
        (15, 2),
        (100, 10),
        (1_000, 100),
        (40_944, 4_094),
        (40_950, 4_095),
        (40_956, 4_095),
        (90_000_000, 4_095),
    ] {
        let bytes = interval_bytes(Version::V3, Duration::from_millis(milliseconds));
        assert_eq!(u16::from_be_bytes(bytes), expected, "{milliseconds} ms");
    }
}

#[test]
fn v2_01_intervals_go_from_1_s_to_255_s_to_the_nearest_second() {
    for (milliseconds, expected) in [
        (0, 1),
        (1_000, 1),
        (1_499, 1),
        (1_500, 2),
        (255_000, 255),
        (256_000, 255),
        (90_000_000, 255),
    ] {
        let [_, seconds] = interval_bytes(Version::V2, Duration::from_millis(milliseconds));
        assert_eq!(seconds, expected, "{milliseconds} ms");
    }
    let bytes = changed(&V2_NONE, 5, &[255]);
    assert_eq!(
        parse_from_source(&bytes).unwrap().interval,
        Duration::from_secs(255)
    );
}

#[test]
fn v3_12_v3_13_v3_15_each_deployed_checksum_is_accepted_and_told_apart() {
    let unicast = Ipv4Addr::new(192, 168, 1, 2);
    let other = Ipv4Addr::new(192, 168, 1, 3);
    let length = 12;
    for (before, destination, expected) in [
        (Sum::default(), GROUP, Ok(ChecksumSeen::MessageOnly)),
        (Sum::default(), unicast, Ok(ChecksumSeen::MessageOnly)),
        (
            Sum::pseudo_header(SOURCE, GROUP, length),
            GROUP,
            Ok(ChecksumSeen::PseudoHeader),
        ),
        (
            Sum::pseudo_header(SOURCE, unicast, length),
            unicast,
            Ok(ChecksumSeen::PseudoHeader),
        ),
        (
            Sum::pseudo_header(SOURCE, GROUP, length),
            unicast,
            Ok(ChecksumSeen::PseudoHeaderMulticast),
        ),
        (
            Sum::pseudo_header(SOURCE, unicast, length),
            GROUP,
            Err(Reject::Checksum),
        ),
        (
            Sum::pseudo_header(other, GROUP, length),
            GROUP,
            Err(Reject::Checksum),
        ),
        (
            Sum::pseudo_header(SOURCE, GROUP, length + 1),
            GROUP,
            Err(Reject::Checksum),
        ),
    ] {
        let bytes = summed(V3_SECOND.to_vec(), before);
        let seen =
            Advertisement::parse(&bytes, SOURCE, destination, HOP_LIMIT).map(|read| read.checksum);
        assert_eq!(seen, expected);
    }
}

#[test]
fn v3_12_the_checksum_of_the_message_alone_is_sent_when_asked_for() {
    let bytes = emit(&Outgoing {
        checksum: ChecksumForm::MessageOnly,
        ..second_v3()
    });
    assert_eq!(bytes, summed(V3_SECOND.to_vec(), Sum::default()));
}

#[test]
fn v3_21_the_addresses_keep_their_order() {
    let addresses = [3, 1, 2].map(|last| Ipv4Addr::new(10, 0, 0, last));
    let bytes = emit(&Outgoing {
        addresses: &addresses,
        ..second_v3()
    });
    let read = parse_from_source(&bytes).unwrap();
    assert!(read.addresses.iter().eq(addresses));
}

#[test]
fn v3_22_addresses_after_the_255th_are_left_out() {
    let addresses = [Ipv4Addr::new(10, 0, 0, 1); 256];
    let bytes = emit(&Outgoing {
        addresses: &addresses,
        ..second_v3()
    });
    let read = parse_from_source(&bytes).unwrap();
    assert_eq!(read.addresses.iter().count(), 255);
}

#[test]
fn v3_23_an_unknown_version_is_rejected() {
    for version in (0..16).filter(|version| ![2, 3].contains(version)) {
        let bytes = changed(&V3_SECOND, 0, &[version << 4 | 1]);
        assert_eq!(parse_from_source(&bytes), Err(Reject::Version));
    }
}

#[test]
fn v3_23_the_other_version_is_not_admitted() {
    for (bytes, version, expected) in [
        (&V3_SECOND[..], Version::V2, Err(Reject::Version)),
        (&V2_NONE[..], Version::V3, Err(Reject::Version)),
        (&V3_SECOND[..], Version::V3, Ok(())),
        (&V2_NONE[..], Version::V2, Ok(())),
    ] {
        let admitted = parse_from_source(bytes).unwrap().admit(&Expectation {
            version,
            authentication: &Authentication::None,
            advert_interval: Duration::from_secs(1),
        });
        assert_eq!(admitted, expected);
    }
}

#[test]
fn v3_25_whatever_is_cut_off_is_missed() {
    for whole in [&V2_PASS[..], &V2_NONE, &V3_SECOND, &V3_FAST] {
        for end in 0..whole.len() {
            let expected = if end < 8 {
                Reject::TooShort
            } else {
                Reject::Length
            };
            assert_eq!(parse_from_source(&whole[..end]), Err(expected), "{end}");
        }
    }
}

#[test]
fn v3_26_v2_02_a_wrong_checksum_is_rejected() {
    for whole in [&V2_PASS[..], &V2_NONE, &V3_SECOND, &V3_FAST] {
        for offset in 6..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[offset] ^= 0x40;
            assert_eq!(parse_from_source(&bytes), Err(Reject::Checksum), "{offset}");
        }
    }
}

#[test]
fn v2_02_the_checksum_of_version_2_has_no_pseudo_header() {
    let before = Sum::pseudo_header(SOURCE, GROUP, 20);
    let bytes = summed(V2_PASS.to_vec(), before);
    assert_eq!(parse_from_source(&bytes), Err(Reject::Checksum));
}

#[test]
fn v3_27_the_id_is_known_before_the_packet_is_believed() {
    assert_eq!(peek_id(&[]), None);
    assert_eq!(peek_id(&[0x31]), None);
    assert_eq!(peek_id(&[0x31, 51]), Some(51));
    assert_eq!(peek_id(&V2_PASS), Some(51));
    assert_eq!(peek_id(&[0xff, 0]), Some(0));
}

#[test]
fn v3_29_another_interval_is_admitted_with_version_3() {
    let admitted = parse_from_source(&V3_SECOND).unwrap().admit(&Expectation {
        version: Version::V3,
        authentication: &Authentication::None,
        advert_interval: Duration::from_millis(10),
    });
    assert_eq!(admitted, Ok(()));
}

#[test]
fn v3_31_padding_to_ethernets_shortest_payload_is_tolerated() {
    for (whole, padded) in [(&V3_SECOND[..], 26), (&V3_SECOND, 22), (&V2_PASS, 26)] {
        let mut bytes = whole.to_vec();
        bytes.resize(padded, 0xa5);
        let read = parse_from_source(&bytes).unwrap();
        assert_eq!(Ok(&read), parse_from_source(whole).as_ref());
    }
}

#[test]
fn v3_31_anything_else_behind_the_message_is_rejected() {
    for whole in [&V2_PASS[..], &V2_NONE, &V3_SECOND, &V3_FAST] {
        for length in (whole.len() + 1..64).filter(|length| ![22, 26].contains(length)) {
            let mut bytes = whole.to_vec();
            bytes.resize(length, 0);
            assert_eq!(parse_from_source(&bytes), Err(Reject::Length), "{length}");
        }
    }
}

#[test]
fn v3_31_no_message_has_the_length_of_a_padded_one() {
    for count in 0..=255 {
        assert!(!PADDED.contains(&length(Version::V2, count)));
        assert!(!PADDED.contains(&length(Version::V3, count)));
    }
}

#[test]
fn v2_03_an_unknown_authentication_type_is_rejected() {
    for kind in 2..=255 {
        let bytes = changed(&V2_PASS, 4, &[kind]);
        assert_eq!(parse_from_source(&bytes), Err(Reject::AuthenticationType));
    }
}

#[test]
fn v2_03_the_data_of_type_0_are_zero_when_sent_and_ignored_when_received() {
    let bytes = changed(&V2_NONE, 16, b"whatever");
    assert_eq!(admit_v2(&bytes, &Authentication::None, 1), Ok(()));
    let bytes = emit(&Outgoing {
        version: Version::V2,
        ..second_v3()
    });
    assert_eq!(bytes[12..], [0; 8]);
}

#[test]
fn v2_03_another_authentication_type_is_not_admitted() {
    let none = Authentication::None;
    assert_eq!(
        admit_v2(&V2_PASS, &none, 1),
        Err(Reject::AuthenticationType)
    );
    assert_eq!(
        admit_v2(&V2_NONE, &password("s3cret"), 1),
        Err(Reject::AuthenticationType)
    );
}

#[test]
fn v2_03_au_01_every_byte_of_the_password_counts() {
    assert_eq!(admit_v2(&V2_PASS, &password("s3cret"), 1), Ok(()));
    for wrong in [
        "S3cret", "s3creT", "s3cre", "s3cret!", "s3cret 1", "12345678",
    ] {
        assert_eq!(
            admit_v2(&V2_PASS, &password(wrong), 1),
            Err(Reject::AuthenticationData),
            "{wrong}"
        );
    }
    // Two differences that cancel out in a sum or an exclusive or.
    assert_eq!(
        admit_v2(&V2_PASS, &password("3scret"), 1),
        Err(Reject::AuthenticationData)
    );
}

#[test]
fn v2_04_another_interval_is_not_admitted_with_version_2() {
    assert_eq!(admit_v2(&V2_NONE, &Authentication::None, 1), Ok(()));
    assert_eq!(
        admit_v2(&V2_NONE, &Authentication::None, 2),
        Err(Reject::Interval)
    );
}

#[test]
fn au_01_a_received_password_does_not_print_itself() {
    let read = parse_from_source(&V2_PASS).unwrap();
    let printed = format!("{read:?}");
    assert!(!printed.contains("s3cret"), "{printed}");
    assert!(!printed.contains("115, 51, 99"), "{printed}");
}
