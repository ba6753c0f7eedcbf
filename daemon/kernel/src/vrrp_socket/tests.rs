//! Over a cable between two network namespaces.

use std::net::{SocketAddr, SocketAddrV4};

use mainstay_core::address::Prefix;
use rustix::process::{Resource, Rlimit};

use super::*;
use crate::lab::{self, Ear, Hand, Namespace, PATIENCE};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// Two nodes on one cable.
struct Cable {
    hand: Hand,
    here: InterfaceIndex,
    there: InterfaceIndex,
    peer: Namespace,
}

impl Cable {
    async fn new() -> Self {
        let hand = Hand::new();
        let peer = Namespace::new();
        let (here, there) = hand.cable_to(&peer, "left", "right").await;
        hand.add(here, "10.0.0.1/24".parse().unwrap()).await;
        let peer_hand = peer.within(Hand::new);
        peer_hand.add(there, "10.0.0.2/24".parse().unwrap()).await;
        Self {
            hand,
            here,
            there,
            peer,
        }
    }

    fn open(&self, ids: &[u8]) -> VrrpSocket {
        VrrpSocket::open(self.here, "left", ids).unwrap()
    }

    fn open_there(&self, ids: &[u8]) -> VrrpSocket {
        self.peer
            .within(|| VrrpSocket::open(self.there, "right", ids))
            .unwrap()
    }

    /// A stranger on this end of the cable, who sends what he likes.
    fn stranger(&self, with_header: bool) -> Socket {
        let kind = Some(Protocol::from(VRRP));
        let socket = Socket::new(Domain::IPV4, Type::RAW, kind).unwrap();
        socket.bind_device(Some(b"left")).unwrap();
        socket.set_header_included_v4(with_header).unwrap();
        socket
    }
}

/// The start of an advertisement for this virtual router.
fn advertisement(id: u8) -> Vec<u8> {
    vec![0x31, id, 100, 1, 0, 100, 0, 0, 10, 0, 0, 100]
}

fn to(address: Ipv4Addr) -> socket2::SockAddr {
    SocketAddr::V4(SocketAddrV4::new(address, 0)).into()
}

/// Waits for the next packet.
fn next(socket: &mut VrrpSocket) -> Packet {
    loop {
        assert!(lab::readable(socket, PATIENCE), "the packet does not come");
        if let Some(packet) = socket.receive().unwrap() {
            return packet;
        }
    }
}

#[test]
fn an_advertisement_arrives_with_what_the_rfc_wants_on_it() {
    let name = "an_advertisement_arrives_with_what_the_rfc_wants_on_it";
    lab::run_async(name, || async {
        let cable = Cable::new().await;
        let mut sender = cable.open(&[51]);
        let mut receiver = cable.open_there(&[51]);
        let ear = cable.peer.within(Ear::new);
        let before = clock::now().boottime;
        sender
            .send(HERE, ALL_VIRTUAL_ROUTERS, &advertisement(51))
            .unwrap();
        let packet = next(&mut receiver);
        assert_eq!(
            packet,
            Packet {
                interface: cable.there,
                source: HERE,
                destination: ALL_VIRTUAL_ROUTERS,
                hop_limit: 255,
                received_at: packet.received_at,
                bytes: advertisement(51),
            }
        );
        assert!(before <= packet.received_at && packet.received_at <= clock::now().boottime);
        assert_eq!(receiver.receive().unwrap(), None);
        assert_eq!(sender.receive().unwrap(), None, "nobody hears himself");

        let frame = ear.hear(|frame| frame[12..14] == [0x08, 0x00] && frame[23] == 112);
        assert_eq!(
            frame[..6],
            [0x01, 0x00, 0x5e, 0, 0, 18],
            "RFC 1112 section 6.4"
        );
        assert_eq!(frame[14], 0x45, "no options");
        assert_eq!(frame[15], 0xc0, "internetwork control");
        assert_eq!(frame[22], 255, "time to live");
    });
}

#[test]
fn the_source_is_the_one_that_is_given() {
    lab::run_async("the_source_is_the_one_that_is_given", || async {
        let cable = Cable::new().await;
        let virtual_address = "10.0.0.100/32".parse().unwrap();
        cable.hand.add(cable.here, virtual_address).await;
        let sender = cable.open(&[51]);
        let mut receiver = cable.open_there(&[51]);
        // Linux would take the same for both.
        for source in [HERE, Ipv4Addr::new(10, 0, 0, 100)] {
            sender
                .send(source, ALL_VIRTUAL_ROUTERS, &advertisement(51))
                .unwrap();
            assert_eq!(next(&mut receiver).source, source);
        }
    });
}

#[test]
fn a_source_that_is_not_ours_is_refused() {
    lab::run_async("a_source_that_is_not_ours_is_refused", || async {
        let cable = Cable::new().await;
        let socket = cable.open(&[51]);
        let error = socket
            .send(THERE, ALL_VIRTUAL_ROUTERS, &advertisement(51))
            .unwrap_err();
        let kinds = [
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::InvalidInput,
        ];
        assert!(kinds.contains(&error.kind()), "{error}");
        socket
            .send(HERE, ALL_VIRTUAL_ROUTERS, &advertisement(51))
            .unwrap();
    });
}

#[test]
fn what_one_socket_leaves_out_the_other_receives() {
    lab::run_async("what_one_socket_leaves_out_the_other_receives", || async {
        let cable = Cable::new().await;
        let mut foreign = cable
            .peer
            .within(|| VrrpSocket::open_foreign(cable.there, "right", &[51, 255]))
            .unwrap();
        let stranger = cable.stranger(false);
        let send = |bytes: &[u8]| {
            stranger.send_to(bytes, &to(ALL_VIRTUAL_ROUTERS)).unwrap();
        };
        send(&[0x31]);
        send(&advertisement(51));
        send(&advertisement(50));
        send(&advertisement(255));
        send(&advertisement(1));
        assert_eq!(next(&mut foreign).bytes, advertisement(50));
        assert_eq!(next(&mut foreign).bytes, advertisement(1));
        foreign.set_foreign_ids(&[50], &[]).unwrap();
        send(&advertisement(50));
        send(&advertisement(51));
        assert_eq!(next(&mut foreign).bytes, advertisement(51));
        assert!(foreign.receive().unwrap().is_none());
    });
}

#[test]
fn the_filter_drops_foreign_ids_and_nothing_else() {
    lab::run_async("the_filter_drops_foreign_ids_and_nothing_else", || async {
        let cable = Cable::new().await;
        let mut receiver = cable.open_there(&[51, 255, 51]);
        let stranger = cable.stranger(false);
        let send = |bytes: &[u8]| {
            stranger.send_to(bytes, &to(ALL_VIRTUAL_ROUTERS)).unwrap();
        };
        send(&advertisement(50));
        send(&[0x31]);
        send(&advertisement(255));
        send(&advertisement(254));
        send(&[0xff, 51]);
        assert_eq!(next(&mut receiver).bytes, [0x31], "too short for an id");
        let second = next(&mut receiver);
        assert_eq!(second.bytes, advertisement(255));
        assert_eq!(
            second.hop_limit, 1,
            "a wrong time to live is the engine's business"
        );
        assert_eq!(
            next(&mut receiver).bytes,
            [0xff, 51],
            "so is a wrong version"
        );

        receiver.set_ids(&[50], &[]).unwrap();
        send(&advertisement(51));
        send(&advertisement(50));
        assert_eq!(next(&mut receiver).bytes, advertisement(50));

        let all: Vec<u8> = (0..=255).collect();
        receiver.set_ids(&all, &[]).unwrap();
        for id in &all {
            send(&advertisement(*id));
        }
        let heard: Vec<u8> = all.iter().map(|_| next(&mut receiver).bytes[1]).collect();
        assert_eq!(heard, all);

        receiver.set_ids(&[], &[]).unwrap();
        send(&advertisement(51));
        send(&[]);
        assert_eq!(next(&mut receiver).bytes, []);
        assert_eq!(receiver.receive().unwrap(), None);
    });
}

#[test]
fn packets_come_in_order_with_the_time_of_their_arrival() {
    lab::run_async(
        "packets_come_in_order_with_the_time_of_their_arrival",
        || async {
            let cable = Cable::new().await;
            let sender = cable.open(&[51]);
            let mut receiver = cable.open_there(&[51]);
            let send = |number: u8| {
                let mut bytes = advertisement(51);
                bytes.push(number);
                sender.send(HERE, ALL_VIRTUAL_ROUTERS, &bytes).unwrap();
            };
            // The kernel begins to stamp a moment after the first socket has asked for it.
            let deadline = clock::now().boottime + PATIENCE;
            loop {
                send(0);
                let sent = clock::now().boottime;
                if next(&mut receiver).received_at < sent {
                    break;
                }
                assert!(sent < deadline, "nothing but the time of reading");
            }
            let mut arrivals = Vec::new();
            (0..100).for_each(send);
            let sent = clock::now().boottime;
            // They have waited for a while when they are read: the cable delivers before `send` returns.
            for number in 0..100 {
                let packet = next(&mut receiver);
                assert_eq!(packet.bytes.last(), Some(&number));
                arrivals.push(packet.received_at);
            }
            assert!(arrivals.is_sorted(), "{arrivals:?}");
            assert!(
                arrivals.iter().all(|arrival| *arrival < sent),
                "not the time of reading"
            );
        },
    );
}

#[test]
fn options_are_skipped_and_a_giant_comes_cut_off() {
    lab::run_async("options_are_skipped_and_a_giant_comes_cut_off", || async {
        let cable = Cable::new().await;
        let mut receiver = cable.open_there(&[51]);
        let stranger = cable.stranger(true);
        let mut packet = vec![
            0x47, 0, 0, 0, 0, 0, 0, 0, 7, 112, 0, 0, 10, 0, 0, 1, 224, 0, 0, 18,
        ];
        packet.extend([1; 8]);
        packet.extend(advertisement(51));
        stranger.send_to(&packet, &to(ALL_VIRTUAL_ROUTERS)).unwrap();
        let received = next(&mut receiver);
        assert_eq!((received.hop_limit, received.bytes), (7, advertisement(51)));

        let mut giant = advertisement(51);
        giant.resize(60_000, 0xaa);
        let fragments = cable.stranger(false);
        fragments.send_to(&giant, &to(THERE)).unwrap();
        let received = next(&mut receiver);
        assert_eq!(received.destination, THERE);
        assert_eq!(received.bytes, giant[..LONGEST_PACKET - 20]);
        assert_eq!(receiver.receive().unwrap(), None);
    });
}

#[test]
fn what_the_kernel_drops_is_counted() {
    lab::run_async("what_the_kernel_drops_is_counted", || async {
        let cable = Cable::new().await;
        let sender = cable.open(&[51]);
        let mut receiver = cable.open_there(&[51]);
        setsockopt(&receiver.socket, sockopt::RcvBuf, &2048).unwrap();
        for _ in 0..100 {
            sender
                .send(HERE, ALL_VIRTUAL_ROUTERS, &advertisement(51))
                .unwrap();
        }
        let mut received = 0;
        next(&mut receiver);
        received += 1;
        while receiver.receive().unwrap().is_some() {
            received += 1;
        }
        // The count comes with the next packet that finds room.
        sender
            .send(HERE, ALL_VIRTUAL_ROUTERS, &advertisement(51))
            .unwrap();
        next(&mut receiver);
        assert!(receiver.dropped() > 0);
        assert_eq!(received + receiver.dropped(), 100);
    });
}

#[test]
fn a_flood_from_one_address_leaves_room_for_a_peer_once_it_is_left_out() {
    let name = "a_flood_from_one_address_leaves_room_for_a_peer_once_it_is_left_out";
    lab::run_async(name, || async {
        const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
        let cable = Cable::new().await;
        cable
            .hand
            .add(cable.here, "10.0.0.3/24".parse().unwrap())
            .await;
        let sender = cable.open(&[51]);
        let mut receiver = cable.open_there(&[51]);
        setsockopt(&receiver.socket, sockopt::RcvBuf, &4096).unwrap();
        let mut foreign = cable
            .peer
            .within(|| VrrpSocket::open_foreign(cable.there, "right", &[51]))
            .unwrap();
        let send = |source| {
            sender
                .send(source, ALL_VIRTUAL_ROUTERS, &advertisement(51))
                .unwrap();
        };
        // The cable delivers before `send` returns: what does not wait then never comes.
        let flood_then_peer = || {
            (0..100).for_each(|_| send(OTHER));
            send(HERE);
        };
        let waiting = |socket: &mut VrrpSocket| {
            let mut sources = Vec::new();
            while let Some(packet) = socket.receive().unwrap() {
                sources.push(packet.source);
            }
            sources
        };
        flood_then_peer();
        let crowded = waiting(&mut receiver);
        assert!(crowded.iter().all(|source| *source == OTHER), "{crowded:?}");
        assert!(waiting(&mut foreign).is_empty());

        let flooding = &[OTHER, Ipv4Addr::new(10, 0, 0, 4)];
        receiver.set_ids(&[51], flooding).unwrap();
        foreign.set_foreign_ids(&[51], flooding).unwrap();
        for _ in 0..20 {
            flood_then_peer();
            assert_eq!(waiting(&mut receiver), [HERE]);
            let counted = waiting(&mut foreign);
            assert!(!counted.is_empty());
            assert!(counted.iter().all(|source| *source == OTHER), "{counted:?}");
        }

        receiver.set_ids(&[51], &[]).unwrap();
        foreign.set_foreign_ids(&[51], &[]).unwrap();
        send(OTHER);
        assert_eq!(waiting(&mut receiver), [OTHER]);
        assert!(waiting(&mut foreign).is_empty());
    });
}

#[test]
fn a_clock_that_is_set_moves_no_arrival_out_of_order() {
    let seconds = Duration::from_secs;
    let now = (seconds(100), seconds(5000));
    let arrival = |stamp| arrival(now, stamp, seconds(90));
    assert_eq!(arrival(Some(seconds(4997))), seconds(97));
    assert_eq!(
        arrival(Some(seconds(1))),
        seconds(90),
        "set forwards by an hour"
    );
    assert_eq!(arrival(Some(seconds(9000))), seconds(100), "set backwards");
    assert_eq!(arrival(None), seconds(100));
}

#[test]
fn the_counter_of_the_kernel_wraps_and_the_sum_goes_on() {
    assert_eq!(advanced(0, 7), 7);
    assert_eq!(advanced(7, 7), 7);
    let near = u64::from(u32::MAX) - 1;
    assert_eq!(advanced(near, 3), near + 5);
    assert_eq!(advanced(near + 5, 4), near + 6);
}

#[test]
fn only_the_interface_itself_is_heard() {
    lab::run_async("only_the_interface_itself_is_heard", || async {
        let cable = Cable::new().await;
        let other = Namespace::new();
        let (_, elsewhere) = cable.hand.cable_to(&other, "side", "far").await;
        let mut receiver = cable.open(&[51]);
        let far_hand = other.within(Hand::new);
        far_hand
            .add(elsewhere, "10.0.1.2/24".parse().unwrap())
            .await;
        let far = other
            .within(|| VrrpSocket::open(elsewhere, "far", &[51]))
            .unwrap();
        let near: Prefix = "10.0.1.1/24".parse().unwrap();
        cable.hand.add(cable.hand.index("side").await, near).await;
        // Somebody else on this node listens there, so that it gets as far as the sockets.
        let side = cable.hand.index("side").await;
        let mut neighbour = VrrpSocket::open(side, "side", &[51]).unwrap();
        let source = Ipv4Addr::new(10, 0, 1, 2);
        for destination in [ALL_VIRTUAL_ROUTERS, near.address()] {
            far.send(source, destination, &advertisement(51)).unwrap();
            assert_eq!(next(&mut neighbour).destination, destination);
            assert_eq!(receiver.receive().unwrap(), None);
        }
    });
}

#[test]
fn a_wrong_name_or_index_is_refused() {
    lab::run_async("a_wrong_name_or_index_is_refused", || async {
        let cable = Cable::new().await;
        let missing = VrrpSocket::open(cable.here, "nowhere", &[51]).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENODEV));
        let another = VrrpSocket::open(InterfaceIndex(4711), "left", &[51]).unwrap_err();
        assert_eq!(another.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn a_link_that_goes_down_and_up_is_heard_again() {
    lab::run_async("a_link_that_goes_down_and_up_is_heard_again", || async {
        let cable = Cable::new().await;
        let sender = cable.open(&[51]);
        let mut receiver = cable.open_there(&[51]);
        let peer_hand = cable.peer.within(Hand::new);
        peer_hand.down("right").await;
        let mut errors = 0;
        while receiver.receive().map_or(true, |packet| packet.is_some()) {
            errors += 1;
            assert!(errors < 10, "the error does not go away");
        }
        peer_hand.up("right").await;
        cable.hand.running("left").await;
        peer_hand.running("right").await;
        sender
            .send(HERE, ALL_VIRTUAL_ROUTERS, &advertisement(51))
            .unwrap();
        assert_eq!(next(&mut receiver).bytes, advertisement(51));
    });
}

/// Descriptors of this process are few: the error says so, whichever call needs one.
#[test]
fn without_a_descriptor_to_spare_the_reason_is_told() {
    let name = "without_a_descriptor_to_spare_the_reason_is_told";
    lab::run_async(name, || async {
        let cable = Cable::new().await;
        let limit = rustix::process::getrlimit(Resource::Nofile);
        // The lowest number that is free is what the next descriptor gets.
        let free = u64::try_from(cable.open(&[7]).as_fd().as_raw_fd()).unwrap();
        let open_with = |most: u64| {
            let current = Some(most);
            rustix::process::setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
            let result = VrrpSocket::open(cable.here, "left", &[7]);
            rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
            result.map(drop).map_err(|error| error.raw_os_error())
        };
        assert_eq!(open_with(free), Err(Some(libc::EMFILE)));
        assert_eq!(open_with(free + 1), Ok(()), "one is enough");
    });
}
