//! The VRRP sockets: one per interface for the ids that are configured there, and one with a small
//! buffer for all others, which are only counted.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use mainstay_core::address::InterfaceIndex;
use mainstay_core::input::{Failure, Packet};
use mainstay_kernel::vrrp_socket::VrrpSocket;

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
    own: VrrpSocket,
    foreign: VrrpSocket,
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
        let result = match self.open.get(&interface) {
            Some(pair) => pair
                .own
                .set_ids(ids)
                .and_then(|()| pair.foreign.set_foreign_ids(ids)),
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
            more |= drain(&mut pair.own, BATCH, &mut take);
            drain(&mut pair.foreign, FOREIGN_BATCH, &mut take);
        }
        more
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
            own: VrrpSocket::open(interface, name, ids)?,
            foreign: VrrpSocket::open_foreign(interface, name, ids)?,
        })
    }
}

/// Takes at most `limit` packets; true when there may be more. An error of one receive, such as the
/// interface going down, is told by the monitor; the socket stays usable.
fn drain(socket: &mut VrrpSocket, limit: usize, mut take: impl FnMut(Packet)) -> bool {
    for _ in 0..limit {
        match socket.receive() {
            Ok(Some(packet)) => take(packet),
            Ok(None) | Err(_) => return false,
        }
    }
    true
}
