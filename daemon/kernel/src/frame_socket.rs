//! Sends whole Ethernet frames: gratuitous ARP.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};

use mainstay_core::address::InterfaceIndex;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

/// A packet socket that receives nothing (protocol 0, packet(7)) and sends on any interface of its
/// network namespace. Never blocks.
#[derive(Debug)]
pub struct FrameSocket(Socket);

/// Length of an Ethernet header: two addresses and the protocol.
const ETHERNET_HEADER: usize = 14;

impl FrameSocket {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`, or out of file descriptors.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        Ok(Self(socket))
    }

    /// Sends one frame, header included.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for less than an Ethernet header; `WouldBlock` when the
    /// interface's queue is full; whatever the kernel says when the interface is down, gone, or
    /// has a smaller MTU.
    pub fn send(&self, interface: InterfaceIndex, frame: &[u8]) -> io::Result<()> {
        let to = address(interface, frame).ok_or(io::ErrorKind::InvalidInput)?;
        let sent = self.0.send_to(frame, &to)?;
        if sent == frame.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where a frame goes, in the words of packet(7): the interface, and the frame's own destination
/// and protocol.
fn address(interface: InterfaceIndex, frame: &[u8]) -> Option<SockAddr> {
    let header: &[u8; ETHERNET_HEADER] = frame.first_chunk()?;
    let [d1, d2, d3, d4, d5, d6, .., protocol_high, protocol_low] = *header;
    let link = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET.try_into().ok()?,
        sll_protocol: u16::from_ne_bytes([protocol_high, protocol_low]),
        sll_ifindex: interface.0.try_into().ok()?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [d1, d2, d3, d4, d5, d6, 0, 0],
    };
    let length = mem::size_of::<libc::sockaddr_ll>().try_into().ok()?;
    let mut storage = SockAddrStorage::zeroed();
    #[expect(unsafe_code, reason = "no crate makes a sockaddr_ll safely")]
    // SAFETY: sockaddr_ll is plain data that fits into any socket address storage, and family and
    // length given are its own.
    unsafe {
        *storage.view_as() = link;
        Some(SockAddr::new(storage, length))
    }
}

#[cfg(test)]
mod tests;
