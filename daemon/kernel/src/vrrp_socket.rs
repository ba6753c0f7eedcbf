//! The raw socket of one interface for VRRP over IPv4.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use mainstay_core::address::InterfaceIndex;
use mainstay_core::input::Packet;
use mainstay_core::time::Time;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeSpec;
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use crate::{clock, ipv4, vrid_filter};

/// Where all virtual routers of a network listen (`V3-01`, RFC 9568 section 5.1.1.2).
pub const ALL_VIRTUAL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The protocol's number (RFC 9568 section 5.1.1.4).
const VRRP: i32 = 112;
/// Time to live of what is sent (`V3-02`).
const TIME_TO_LIVE: u32 = 255;
/// Internetwork control, the precedence of routing protocols.
const TYPE_OF_SERVICE: u32 = 0xc0;
/// The matching queue of the sender's own interface (`TC_PRIO_INTERACTIVE`).
const PRIORITY: i32 = 6;
/// Room for what arrives while nobody reads: some ten thousand packets.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Room for packets of foreign ids, which are only counted.
const FOREIGN_BUFFER: usize = 64 << 10;
/// The longest packet read whole. An advertisement of 255 addresses has 1,088 bytes with the longest
/// IP header; what is longer than this is none, and is cut off.
const LONGEST_PACKET: usize = 4096;

/// Receives and sends VRRP on one interface. Never blocks. Bound to the device that had the
/// interface's index and name when it was opened, and keeps to it through renames.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    interface: InterfaceIndex,
    packet: Box<[u8]>,
    control: Vec<u8>,
    dropped: u64,
    /// What comes next was not received before this: when the socket was last seen empty, or the
    /// time of the packet before.
    not_before: Duration,
}

impl VrrpSocket {
    /// Opens the socket in the network namespace of the calling thread, joins 224.0.0.18 on the
    /// interface (`V3-65`) and receives from now on what has one of the given ids.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`; when the interface is not there (`ENODEV`), or not under that index
    /// (`NotFound`); when the kernel refuses an option.
    pub fn open(interface: InterfaceIndex, name: &str, ids: &[u8]) -> io::Result<Self> {
        let socket = Self::open_deaf(interface, name, RECEIVE_BUFFER)?;
        socket.set_ids(ids, &[])?;
        Ok(socket)
    }

    /// Opens the socket that receives what [`Self::open`] with the same ids leaves out, so that it
    /// can be counted. Its buffer is small: of a flood it sees a part, and takes nothing from the
    /// other socket.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_foreign(interface: InterfaceIndex, name: &str, ids: &[u8]) -> io::Result<Self> {
        let socket = Self::open_deaf(interface, name, FOREIGN_BUFFER)?;
        socket.set_foreign_ids(ids, &[])?;
        Ok(socket)
    }

    /// Opens the socket with a filter that lets nothing in.
    fn open_deaf(interface: InterfaceIndex, name: &str, buffer: usize) -> io::Result<Self> {
        let kind = Type::RAW.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV4, kind, Some(Protocol::from(VRRP)))?;
        // Until it is bound it hears every interface: let nothing in, then throw away what came
        // before that.
        socket.attach_filter(vrid_filter::NOTHING)?;
        socket.bind_device(Some(name.as_bytes()))?;
        // Asked of this socket: the C library would open one more, and hide why it can't.
        if name_to_index(&socket, name)? != interface.0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("interface {name} no longer has the index {}", interface.0),
            ));
        }
        socket.join_multicast_v4_n(
            &ALL_VIRTUAL_ROUTERS,
            &InterfaceIndexOrAddress::Index(interface.0),
        )?;
        socket.set_multicast_all_v4(false)?;
        socket.set_multicast_loop_v4(false)?;
        socket.set_multicast_ttl_v4(TIME_TO_LIVE)?;
        socket.set_ttl_v4(TIME_TO_LIVE)?;
        socket.set_tos_v4(TYPE_OF_SERVICE)?;
        // After the type of service, which sets a priority of its own.
        setsockopt(&socket, sockopt::Priority, &PRIORITY)?;
        // Beyond the system's limit where allowed.
        setsockopt(&socket, sockopt::RcvBufForce, &buffer)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &buffer))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        let mut socket = Self {
            socket,
            interface,
            packet: vec![0; LONGEST_PACKET].into(),
            control: nix::cmsg_space!(TimeSpec, u32),
            dropped: 0,
            not_before: Duration::ZERO,
        };
        while socket.receive()?.is_some() {}
        Ok(socket)
    }

    /// Receives from now on what has one of these ids (or is too short to have one) instead, unless
    /// it comes from one of these sources. Packets that wait already stay.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory for the filter.
    pub fn set_ids(&self, ids: &[u8], unless: &[Ipv4Addr]) -> io::Result<()> {
        self.socket.attach_filter(&vrid_filter::only(ids, unless))
    }

    /// Receives from now on what has an id, but none of these, and all that comes from one of these
    /// sources.
    ///
    /// # Errors
    ///
    /// As [`Self::set_ids`].
    pub fn set_foreign_ids(&self, ids: &[u8], sources: &[Ipv4Addr]) -> io::Result<()> {
        self.socket
            .attach_filter(&vrid_filter::except(ids, sources))
    }

    /// Sends a VRRP message from this source address, which must be one of this machine's: the
    /// interface's primary one, even while a virtual address is on the interface (`V3-18`).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the interface's queue is full; `NetworkUnreachable` or, from older kernels,
    /// `InvalidInput` when the source is not an address of this machine; whatever the kernel says
    /// when the interface is down or gone.
    pub fn send(&self, source: Ipv4Addr, destination: Ipv4Addr, bytes: &[u8]) -> io::Result<()> {
        let from = libc::in_pktinfo {
            ipi_ifindex: self
                .interface
                .0
                .try_into()
                .map_err(|_| io::ErrorKind::InvalidInput)?,
            ipi_spec_dst: libc::in_addr {
                s_addr: u32::from_ne_bytes(source.octets()),
            },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let [a, b, c, d] = destination.octets();
        let sent = sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            &[ControlMessage::Ipv4PacketInfo(&from)],
            MsgFlags::MSG_DONTWAIT,
            Some(&SockaddrIn::new(a, b, c, d, 0)),
        )?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// The next packet that waits; `None` when none does. One of more than 4,096 bytes with its IP
    /// header comes cut off, which no valid advertisement is.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says, such as `ENETDOWN` once after the interface went down; the socket
    /// goes on.
    pub fn receive(&mut self) -> io::Result<Option<Packet>> {
        loop {
            let Some((length, stamp)) = self.receive_raw()? else {
                return Ok(None);
            };
            // The kernel hands over only whole IPv4 headers; should it ever not, there is nothing to
            // pass on.
            self.not_before = arrival(clock::read(), stamp, self.not_before);
            if let Some(datagram) = ipv4::parse(&self.packet[..length]) {
                return Ok(Some(Packet {
                    interface: self.interface,
                    source: datagram.source,
                    destination: datagram.destination,
                    hop_limit: datagram.time_to_live,
                    received_at: Time::from_boot(self.not_before),
                    bytes: datagram.payload.to_vec(),
                }));
            }
        }
    }

    /// How many packets the kernel has dropped here for want of room, as of the last one received.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Reads one packet into the buffer: its length there, and the kernel's time stamp.
    fn receive_raw(&mut self) -> io::Result<Option<(usize, Option<Duration>)>> {
        let now = clock::boottime();
        let mut buffers = [IoSliceMut::new(&mut self.packet)];
        let message = loop {
            let flags = MsgFlags::MSG_DONTWAIT;
            let fd = self.socket.as_raw_fd();
            match recvmsg::<()>(fd, &mut buffers, Some(&mut self.control), flags) {
                Ok(message) => break message,
                Err(Errno::EINTR) => (),
                Err(Errno::EAGAIN) => {
                    self.not_before = now;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let mut stamp = None;
        // Cut-off control messages, for which there is room enough, would cost only the time stamp.
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => stamp = Some(clock::duration(time)),
                ControlMessageOwned::RxqOvfl(count) => {
                    self.dropped = advanced(self.dropped, count);
                }
                _ => (),
            }
        }
        Ok(Some((message.bytes, stamp)))
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// When a packet arrived, by the boot-time clock. The kernel stamps it with the clock on the wall,
/// which can be set meanwhile: the time is bounded by now and by what came before.
fn arrival(
    (boottime, realtime): (Duration, Duration),
    stamp: Option<Duration>,
    not_before: Duration,
) -> Duration {
    let age = stamp.map_or(Duration::ZERO, |stamp| realtime.saturating_sub(stamp));
    boottime.saturating_sub(age).max(not_before)
}

/// The kernel's counter has 32 bits and wraps; the sum goes on.
fn advanced(total: u64, counter: u32) -> u64 {
    // The low half of the sum is the counter of last time.
    let since = counter.wrapping_sub(total as u32);
    total + u64::from(since)
}

#[cfg(test)]
mod tests;
