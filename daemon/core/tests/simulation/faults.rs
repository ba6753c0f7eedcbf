//! What can go wrong, as data.

use std::time::Duration;

use mainstay_core::address::InterfaceIndex;
use mainstay_core::input::{Input, Packet};
use mainstay_core::settings::{Authentication, ChecksumForm, Password, Version};
use mainstay_core::time::Time;
use mainstay_core::wire::vrrp::{GROUP, Outgoing, emit};

use crate::kernel::INDEX;
use crate::lan::Lan;
use crate::random::Random;
use crate::setup::Setup;

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Crash(usize),
    Start(usize),
    Stop(usize),
    Pause(usize),
    Resume(usize),
    Link(usize, bool),
    /// One direction.
    Cut(usize, usize),
    Mend(usize, usize),
    /// Packets lost, in a thousand.
    Loss(u64),
    Health(usize, bool),
    RemoveAddresses(usize),
    /// The kernel refuses to change addresses, or does so again.
    Refuse(usize, bool),
    /// Another base priority by a reload.
    Priority(usize, u8),
}

impl Fault {
    pub(crate) fn strike(self, lan: &mut Lan) {
        let now = lan.now();
        lan.journal.line(now, || format!("-- {self:?}"));
        match self {
            Self::Crash(node) => lan.crash(node),
            Self::Start(node) => lan.start(node),
            Self::Stop(node) => lan.stop(node),
            Self::Pause(node) => lan.pause(node),
            Self::Resume(node) => lan.resume(node),
            Self::Link(node, running) => lan.set_link(node, running),
            Self::Cut(from, to) => lan.network.cut(from, to),
            Self::Mend(from, to) => lan.network.mend(from, to),
            Self::Loss(permille) => lan.network.loss = permille,
            Self::Health(node, healthy) => lan.set_healthy(node, healthy),
            Self::RemoveAddresses(node) => lan.remove_addresses_by_hand(node),
            Self::Refuse(node, refuses) => lan.set_refuses(node, refuses),
            Self::Priority(node, priority) => lan.set_priority(node, priority),
        }
    }
}

/// Schedules faults for a while; the time when the last one has passed.
pub(crate) fn schedule(lan: &mut Lan) -> Time {
    let interval = lan.setup.interval;
    let count = 2 + lan.random().index(9);
    let mut at = lan.now();
    let mut last = at;
    for _ in 0..count {
        at = at + lan.random().duration(interval / 10..interval * 12);
        last = last.max(one(lan, at));
    }
    last
}

/// Schedules one fault, often with its end; the time when it has passed.
fn one(lan: &mut Lan, at: Time) -> Time {
    let interval = lan.setup.interval;
    let count = lan.nodes.len();
    let random = lan.random();
    let node = random.index(count);
    let other = (node + 1 + random.index(count - 1)) % count;
    // Not shorter than a process needs to start.
    let shortest = Duration::from_millis(2);
    let lasts = random.duration(shortest..interval * 10);
    let end = at + lasts;
    let lasting = |lan: &mut Lan, begin: Fault, ends: Fault| {
        lan.fault_at(at, begin);
        lan.fault_at(end, ends);
        end
    };
    match random.index(12) {
        0 => lasting(lan, Fault::Crash(node), Fault::Start(node)),
        1 => lasting(lan, Fault::Stop(node), Fault::Start(node)),
        2 => lasting(lan, Fault::Pause(node), Fault::Resume(node)),
        3 => lasting(lan, Fault::Link(node, false), Fault::Link(node, true)),
        4 => lasting(lan, Fault::Cut(node, other), Fault::Mend(node, other)),
        5 => {
            // A switch between this node and all others.
            for peer in (0..count).filter(|peer| *peer != node) {
                lasting(lan, Fault::Cut(node, peer), Fault::Mend(node, peer));
                lasting(lan, Fault::Cut(peer, node), Fault::Mend(peer, node));
            }
            end
        }
        6 => {
            let permille = random.within(50..900);
            lasting(lan, Fault::Loss(permille), Fault::Loss(0))
        }
        7 => {
            let healthy = random.permille(500);
            lan.fault_at(at, Fault::Health(node, healthy));
            at
        }
        8 => {
            lan.fault_at(at, Fault::RemoveAddresses(node));
            // Put back at once, or a second after the last time.
            at + Duration::from_secs(1)
        }
        9 => {
            lasting(lan, Fault::Refuse(node, true), Fault::Refuse(node, false));
            // A node that has resigned rests for ten seconds.
            end + Duration::from_secs(11)
        }
        10 => {
            let priority = random.within(1..255) as u8;
            lan.fault_at(at, Fault::Priority(node, priority));
            at
        }
        _ => {
            // Gone for good.
            let fault = random.pick(&[
                Fault::Crash(node),
                Fault::Stop(node),
                Fault::Link(node, false),
            ]);
            lan.fault_at(at, fault);
            at
        }
    }
}

/// A packet that no node may believe.
pub(crate) fn bad_packet(random: &mut Random, setup: &Setup, sender: usize, now: Time) -> Packet {
    let router = setup.router(sender);
    let source = setup.primary(sender).address();
    let addresses: Vec<_> = setup.addresses.iter().map(|p| p.address()).collect();
    let outgoing = Outgoing {
        version: router.version,
        id: router.id,
        priority: random.byte(),
        interval: router.advert_interval,
        addresses: &addresses,
        authentication: &router.authentication,
        checksum: ChecksumForm::PseudoHeader,
        source,
        destination: GROUP,
    };
    let mut hop_limit = 255;
    let bytes = match random.index(6) {
        0 => {
            hop_limit = random.within(0..255) as u8;
            emit(&outgoing)
        }
        1 => {
            let whole = emit(&outgoing);
            // Its id is there, so that it is counted on the router.
            let length = 2 + random.index(whole.len() - 2);
            whole[..length].to_vec()
        }
        2 => {
            let mut bytes = emit(&outgoing);
            // Any bit but those of the id.
            let bit = 16 + random.index(bytes.len() * 8 - 16);
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        }
        3 => emit(&Outgoing {
            version: match router.version {
                Version::V2 => Version::V3,
                Version::V3 => Version::V2,
            },
            ..outgoing
        }),
        4 if router.version == Version::V2 => emit(&Outgoing {
            authentication: &match router.authentication {
                Authentication::None => Authentication::Pass(Password::from_wire([1; 8])),
                Authentication::Pass(_) => Authentication::None,
            },
            ..outgoing
        }),
        _ => {
            let length = 2 + random.index(1_400);
            let mut bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            bytes[1] = router.id.get();
            // Neither version 2 nor 3.
            bytes[0] |= 0x80;
            bytes
        }
    };
    Packet {
        interface: INDEX,
        source,
        destination: GROUP,
        hop_limit,
        received_at: now,
        bytes,
    }
}

/// An input in one line.
pub(crate) fn brief(input: &Input) -> String {
    match input {
        Input::Packet(Packet {
            source,
            received_at,
            bytes,
            hop_limit,
            interface: InterfaceIndex(_),
            ..
        }) => {
            let start = &bytes[..bytes.len().min(24)];
            format!("packet from {source}, {hop_limit}, at {received_at}: {start:02x?}")
        }
        other => format!("{other:?}"),
    }
}
