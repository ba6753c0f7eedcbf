//! The VRRP sockets, one per interface.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;

use mainstay_core::address::InterfaceIndex;
use mainstay_core::input::{Failure, Packet};
use mainstay_kernel::vrrp_socket::VrrpSocket;

/// Packets taken from one socket before the others, and the timers, get their turn.
const BATCH: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<InterfaceIndex, VrrpSocket>,
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
            Some(socket) => socket.set_ids(ids),
            None => VrrpSocket::open(interface, name, ids).map(|socket| {
                self.open.insert(interface, socket);
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
        let socket = self
            .open
            .get(&interface)
            .ok_or(io::ErrorKind::NotConnected)?;
        socket.send(source, destination, bytes)
    }

    /// Takes a bounded number of packets from each socket; true when there may be more.
    pub(super) fn receive(&mut self, mut take: impl FnMut(Packet)) -> bool {
        let mut more = false;
        for socket in self.open.values_mut() {
            let mut taken = 0;
            // An error of one receive, such as the interface going down, is told by the monitor;
            // the socket stays usable.
            while taken < BATCH
                && let Ok(Some(packet)) = socket.receive()
            {
                take(packet);
                taken += 1;
            }
            more |= taken == BATCH;
        }
        more
    }

    /// Packets that the kernel had to drop because they were not read in time.
    pub(super) fn dropped(&self) -> u64 {
        self.open.values().map(VrrpSocket::dropped).sum()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.open.values().map(AsFd::as_fd)
    }
}
