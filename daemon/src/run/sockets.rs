//! The VRRP sockets: one per interface for the ids that are configured there, and one with a small
//! buffer for all others, and for sources that flood, which are only counted.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use mainstay_core::address::InterfaceIndex;
use mainstay_core::event::Notice;
use mainstay_core::input::{Failure, Packet};
use mainstay_core::time::Time;
use mainstay_kernel::vrrp_socket::VrrpSocket;

use super::crowd::{Change, Crowd};

/// Packets taken from one socket before the others, and the timers, get their turn.
const BATCH: usize = 64;

/// The same for packets of foreign ids.
const FOREIGN_BATCH: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<InterfaceIndex, Pair>,
}

#[derive(Debug)]
struct Pair {
    name: String,
    ids: Vec<u8>,
    own: VrrpSocket,
    foreign: VrrpSocket,
    crowd: Crowd,
    /// Whether more may wait in `foreign`.
    unread: bool,
    /// Whether the filters are to be set again, since the kernel refused.
    stale: bool,
}

impl Sockets {
    /// Opens the socket of an interface, or lets it receive other ids, or closes it when there are
    /// none.
    ///
    /// # Errors
    /// Why the kernel refused.
    pub(super) fn listen(
        &mut self,
        interface: InterfaceIndex,
        name: &str,
        ids: &[u8],
    ) -> Result<(), Failure> {
        if ids.is_empty() {
            self.open.remove(&interface);
            return Ok(());
        }
        let result = match self.open.get_mut(&interface) {
            Some(pair) => {
                pair.ids = ids.to_vec();
                pair.set_filters()
            }
            None => Pair::open(interface, name, ids).map(|pair| {
                self.open.insert(interface, pair);
            }),
        };
        result.map_err(|error| Failure {
            errno: error.raw_os_error(),
            message: format!("receiving VRRP on {name}: {error}"),
        })
    }

    /// Sends an advertisement.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotConnected`] without a socket there, and whatever the kernel reports.
    pub(super) fn send(
        &self,
        interface: InterfaceIndex,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let pair = self
            .open
            .get(&interface)
            .ok_or(io::ErrorKind::NotConnected)?;
        pair.own.send(source, destination, bytes)
    }

    /// Takes a bounded number of packets from each socket; true when there may be more for routers
    /// that are configured.
    pub(super) fn receive(&mut self, mut take: impl FnMut(Packet)) -> bool {
        let mut more = false;
        for pair in self.open.values_mut() {
            let crowd = &mut pair.crowd;
            more |= drain(&mut pair.own, BATCH, |packet, in_need| {
                crowd.count(packet.source, packet.received_at, in_need);
                take(packet);
            });
            pair.unread = drain(&mut pair.foreign, FOREIGN_BATCH, |packet, _| {
                if crowd.is_demoted(packet.source) {
                    crowd.count(packet.source, packet.received_at, false);
                }
                take(packet);
            });
        }
        more
    }

    /// Keeps those who flood, and whom no router listened to (`hears`) then, apart from the others
    /// until they are quiet. Call it when what was received has been handled. Answers with what
    /// people are told.
    pub(super) fn review(
        &mut self,
        now: Time,
        hears: impl Fn(InterfaceIndex, Ipv4Addr, Time) -> bool,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (interface, pair) in &mut self.open {
            let hears = |source, at| hears(*interface, source, at);
            let changes = pair.crowd.review(now, pair.unread, hears);
            if pair.stale || !changes.is_empty() {
                // Nothing is lost by a filter that is late.
                pair.stale = pair.set_filters().is_err();
            }
            let told = changes.iter().filter(|change| change.told);
            notices.extend(told.map(|change| notice(&pair.name, change)));
        }
        notices
    }

    /// Whether somebody is kept apart.
    pub(super) fn keeps_apart(&self) -> bool {
        let mut pairs = self.open.values();
        pairs.any(|pair| !pair.crowd.demoted().is_empty())
    }

    /// Packets for routers that are configured which the kernel had to drop because they were not
    /// read in time.
    pub(super) fn dropped(&self) -> u64 {
        self.open.values().map(|pair| pair.own.dropped()).sum()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let pairs = self.open.values();
        pairs.flat_map(|pair| [pair.own.as_fd(), pair.foreign.as_fd()])
    }
}

impl Pair {
    fn open(interface: InterfaceIndex, name: &str, ids: &[u8]) -> io::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            ids: ids.to_vec(),
            own: VrrpSocket::open(interface, name, ids)?,
            foreign: VrrpSocket::open_foreign(interface, name, ids)?,
            crowd: Crowd::default(),
            unread: false,
            stale: false,
        })
    }

    fn set_filters(&self) -> io::Result<()> {
        let demoted = self.crowd.demoted();
        // In this order nothing is missed of somebody who is promoted.
        self.own.set_ids(&self.ids, &demoted)?;
        self.foreign.set_foreign_ids(&self.ids, &demoted)
    }
}

fn notice(interface: &str, change: &Change) -> Notice {
    let address = change.address;
    let message = match change.demoted {
        true => format!(
            "{address} floods it with VRRP packets, none of which is accepted: they are only \
             counted, apart from those of others"
        ),
        false => format!("{address} no longer floods it, its packets are heard again"),
    };
    Notice {
        subject: format!("interface {interface}"),
        loud: change.demoted,
        message,
    }
}

/// Takes at most `limit` packets, each with whether the kernel had to drop others before it; true
/// when there may be more. An error of one receive, such as the interface going down, is told by the
/// monitor; the socket stays usable.
fn drain(socket: &mut VrrpSocket, limit: usize, mut take: impl FnMut(Packet, bool)) -> bool {
    for _ in 0..limit {
        let dropped = socket.dropped();
        match socket.receive() {
            Ok(Some(packet)) => take(packet, socket.dropped() > dropped),
            Ok(None) | Err(_) => return false,
        }
    }
    true
}
