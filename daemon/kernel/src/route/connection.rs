//! The netlink socket: requests out, messages in, and the full list of what there is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::BytesMut;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use super::RouteError;
use super::message::{self, Body, Message};
use super::table::Table;

/// Links (`RTNLGRP_LINK` is 1) and IPv4 addresses (`RTNLGRP_IPV4_IFADDR` is 5).
const GROUPS: u32 = 1 << (libc::RTNLGRP_LINK - 1) | 1 << (libc::RTNLGRP_IPV4_IFADDR - 1);
/// The kernel's port.
const KERNEL: u32 = 0;
/// The kernel fills at most 32 KiB at a time.
const LONGEST_DATAGRAM: usize = 64 << 10;
/// How often a listing is repeated before it is worth a word.
const ATTEMPTS_UNTIL_WARNING: u32 = 10;

/// What came out of the socket.
#[derive(Debug)]
pub(super) enum Incoming {
    Messages(Vec<Message>),
    /// The kernel had to drop something, so that nothing known can be relied upon.
    Overrun,
}

/// A socket that hears of links and IPv4 addresses.
pub(super) struct Connection {
    socket: TokioSocket,
    sequence: u32,
    buffer: BytesMut,
}

impl Connection {
    /// Subscribes; the receive buffer gets this many bytes if the system allows it.
    pub(super) fn open(receive_buffer: usize) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let netlink = socket.socket_mut();
        // Beyond the system's limit where allowed.
        setsockopt(netlink, sockopt::RcvBufForce, &receive_buffer)
            .or_else(|_| setsockopt(netlink, sockopt::RcvBuf, &receive_buffer))?;
        // An error without a copy of the request needs less room.
        netlink.set_cap_ack(true)?;
        netlink.bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: BytesMut::new(),
        })
    }

    /// A sequence number that no other request of this socket has had for four billion requests.
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The bytes that the kernel accounts to this socket before it drops.
    pub(super) fn receive_buffer(&self) -> io::Result<usize> {
        self.socket.socket_ref().get_rx_buf_sz()
    }

    /// Sends a datagram of requests. The kernel carries all of them out before this returns.
    pub(super) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let sent = self
            .socket
            .send_to(datagram, &SocketAddr::new(KERNEL, 0))
            .await?;
        if sent == datagram.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Waits for the next datagram. Nothing is lost when the wait is abandoned.
    pub(super) async fn receive(&mut self) -> io::Result<Incoming> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(LONGEST_DATAGRAM);
            match self.socket.recv_from(&mut self.buffer).await {
                // Any process may send to a netlink socket: only the kernel is believed.
                Ok(from) if from.port_number() != KERNEL => (),
                Ok(_) => return Ok(Incoming::Messages(message::parse(&self.buffer))),
                Err(error) if is(&error, Errno::ENOBUFS) => return Ok(Incoming::Overrun),
                Err(error) if is(&error, Errno::EINTR) => (),
                Err(error) => return Err(error),
            }
        }
    }

    /// All links and addresses as of the last message read.
    ///
    /// Repeated until it is whole: until the kernel dropped nothing and no list changed in a way that
    /// could have hidden an entry while it was read.
    pub(super) async fn list(&mut self) -> Result<Table, RouteError> {
        let mut attempts = 0;
        loop {
            self.discard_waiting()?;
            if let Some(table) = self.try_list().await? {
                return Ok(table);
            }
            attempts += 1;
            if attempts % ATTEMPTS_UNTIL_WARNING == 0 {
                tracing::warn!(attempts, "links and addresses change too fast to be listed");
            }
        }
    }

    /// All links and addresses, if both lists are whole.
    async fn try_list(&mut self) -> Result<Option<Table>, RouteError> {
        let mut table = Table::default();
        let mut changes = Vec::new();
        for (what, request) in [
            ("links", message::list_links()),
            ("addresses", message::list_addresses()),
        ] {
            let whole = self.dump(request, &mut table, &mut changes).await;
            if !whole.map_err(|error| error.naming(what))? {
                return Ok(None);
            }
        }
        // A change may have been made before or after its entry was listed. Each has its
        // notification, in order, so that the last word on anything is right.
        for change in changes {
            table.apply(change);
        }
        Ok(Some(table))
    }

    /// Reads everything that waits and throws it away, the rest of a list that was given up included.
    /// After an overrun the kernel goes on dropping, without another word, until the socket has once
    /// been empty.
    pub(super) fn discard_waiting(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(LONGEST_DATAGRAM);
            match self
                .socket
                .socket_ref()
                .recv(&mut self.buffer, libc::MSG_DONTWAIT)
            {
                Ok(_) => (),
                Err(error) if is(&error, Errno::ENOBUFS) || is(&error, Errno::EINTR) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Enters a list into the table and sets notifications aside; tells whether the list is whole.
    async fn dump(
        &mut self,
        request: RouteNetlinkMessage,
        table: &mut Table,
        changes: &mut Vec<Body>,
    ) -> Result<bool, DumpError> {
        let sequence = self.next_sequence();
        let mut datagram = Vec::new();
        message::append(&mut datagram, request, NLM_F_REQUEST | NLM_F_DUMP, sequence);
        self.send(&datagram).await?;
        loop {
            let Incoming::Messages(messages) = self.receive().await? else {
                return Ok(false);
            };
            for message in messages {
                // A notification bears the number of the request that caused it, whoever's that was,
                // but never the flag.
                let answer = message.sequence == sequence;
                if answer && message.interrupted {
                    return Ok(false);
                }
                match message.body {
                    Body::Done(Ok(())) if answer => return Ok(true),
                    Body::Done(Err(reason)) | Body::Acknowledged(Err(reason)) if answer => {
                        // No room for the first part, or a list is being made already.
                        let later = is(&reason, Errno::ENOBUFS) || is(&reason, Errno::EBUSY);
                        return if later {
                            Ok(false)
                        } else {
                            Err(DumpError::Refused(reason))
                        };
                    }
                    body if answer && message.multipart => {
                        table.apply(body);
                    }
                    body => changes.push(body),
                }
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.socket_ref().as_fd()
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// Why a list has no end.
enum DumpError {
    Socket(io::Error),
    Refused(io::Error),
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl DumpError {
    fn naming(self, what: &'static str) -> RouteError {
        match self {
            Self::Socket(error) => RouteError::Socket(error),
            Self::Refused(reason) => RouteError::List { what, reason },
        }
    }
}
