use super::*;
use crate::lab::{self, Ear, Hand, Namespace};

/// A gratuitous ARP request for 10.0.0.100 (RFC 5227 section 2.3).
fn gratuitous_arp() -> Vec<u8> {
    let mac = [0x02, 0, 0, 0, 0, 0x0a];
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend([10, 0, 0, 100, 0, 0, 0, 0, 0, 0, 10, 0, 0, 100]);
    frame
}

#[test]
fn a_frame_without_a_header_goes_nowhere() {
    assert!(address(InterfaceIndex(1), &[0xff; 13]).is_none());
    assert!(address(InterfaceIndex(u32::MAX), &[0xff; 60]).is_none());
    assert!(address(InterfaceIndex(1), &[0xff; 14]).is_some());
}

#[test]
fn a_frame_arrives_as_it_was_sent() {
    lab::run_async("a_frame_arrives_as_it_was_sent", || async {
        let there = Namespace::new();
        let (here, _) = Hand::new().cable_to(&there, "left", "right").await;
        let ear = there.within(Ear::new);
        let frame = gratuitous_arp();
        FrameSocket::open().unwrap().send(here, &frame).unwrap();
        let heard = ear.hear(|heard| heard[12..14] == [0x08, 0x06]);
        assert_eq!(heard, frame);
    });
}

#[test]
fn an_interface_that_is_down_or_gone_is_an_error_and_the_socket_goes_on() {
    let name = "an_interface_that_is_down_or_gone_is_an_error_and_the_socket_goes_on";
    lab::run_async(name, || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let index = hand.index("left").await;
        let socket = FrameSocket::open().unwrap();
        let frame = gratuitous_arp();
        hand.down("left").await;
        let down = socket.send(index, &frame).unwrap_err();
        assert_eq!(down.raw_os_error(), Some(libc::ENETDOWN));
        hand.up("left").await;
        socket.send(index, &frame).unwrap();
        hand.remove_link(index).await;
        let gone = socket.send(index, &frame).unwrap_err();
        assert_eq!(gone.raw_os_error(), Some(libc::ENXIO));
        let short = socket.send(index, &frame[..13]).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::InvalidInput);
    });
}
