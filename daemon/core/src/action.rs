//! Everything the engine asks of the world. Effects are asynchronous: the answer is another input.

use std::net::Ipv4Addr;

use crate::address::{InterfaceIndex, Prefix};
use crate::event::Event;
use crate::record::Record;

/// Number of an action, unique in the life of an engine; its completion carries it back.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ActionId(pub u64);

/// Something to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its number.
    pub id: ActionId,
    /// What to do.
    pub effect: Effect,
}

/// What the engine can ask for.
///
/// `Listen`, `AddAddresses` and `RemoveAddresses` are answered with
/// [`Input::Completed`](crate::Input::Completed); the others are not, since nothing depends on
/// their end.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Receive VRRP on this interface for these virtual router ids: a raw socket of its own, joined
    /// to 224.0.0.18 (`V3-65`). Replaces an earlier `Listen` on the same interface; with no ids the
    /// socket is closed.
    Listen {
        /// The interface.
        interface: InterfaceIndex,
        /// Its name; empty when the socket is closed.
        name: String,
        /// Ids that a filter in the kernel may let pass; everything of another id may be dropped.
        ids: Vec<u8>,
    },
    /// Send this VRRP message with time to live 255 (`V3-02`), without waiting.
    Send {
        /// From where.
        interface: InterfaceIndex,
        /// The source address: the interface's primary one (`V3-18`).
        source: Ipv4Addr,
        /// 224.0.0.18 (`V3-01`).
        destination: Ipv4Addr,
        /// The VRRP message, checksum included.
        bytes: Vec<u8>,
    },
    /// Send these Ethernet frames (gratuitous ARP), without waiting, in this order.
    Announce {
        /// From where.
        interface: InterfaceIndex,
        /// Whole frames.
        frames: Vec<Vec<u8>>,
    },
    /// Put these addresses on the interface in one batch, marked as ours. One that is there already
    /// is no error.
    AddAddresses {
        /// Where.
        interface: InterfaceIndex,
        /// Which.
        addresses: Vec<Prefix>,
    },
    /// Take these addresses from the interface in one batch. One that is not there is no error.
    RemoveAddresses {
        /// Where.
        interface: InterfaceIndex,
        /// Which.
        addresses: Vec<Prefix>,
    },
    /// Remember this across a crash, in the runtime directory.
    Remember(Record),
    /// Tell people and hooks.
    Event(Event),
}

/// What the engine wants done, in order.
#[must_use = "actions are what keeps the addresses where they belong"]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions(pub Vec<Action>);

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::vec::IntoIter<Action>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
