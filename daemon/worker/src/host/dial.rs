//! Sockets for host functions, on behalf of a plugin whose grants were checked.
//!
//! The worker makes them itself; with a source address or a mark they come from the daemon, which checks the grants
//! once more. Nothing here ends by itself: whoever calls bounds the time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use mainstay_protocol::{Answer, Origin, Question, Refusal, SocketRequest, Transport};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use tokio::net::{TcpStream, UdpSocket};

use crate::broker::Broker;

/// A peer, and how to get there.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    /// On whose behalf.
    pub(crate) plugin: String,
    /// The peer.
    pub(crate) to: SocketAddr,
    /// Where the packets come from.
    pub(crate) origin: Origin,
}

impl Dial {
    /// A connection.
    ///
    /// # Errors
    /// Whatever the system or the daemon says.
    pub(crate) async fn tcp(&self, broker: &Broker) -> Result<TcpStream, DialError> {
        if self.origin == Origin::default() {
            return Ok(TcpStream::connect(self.to).await?);
        }
        let socket = self.brokered(broker, Transport::Tcp).await?;
        let stream = TcpStream::from_std(socket.into())?;
        // It comes while it connects.
        stream.writable().await?;
        match stream.take_error()? {
            Some(error) => Err(error.into()),
            None => Ok(stream),
        }
    }

    /// A socket for datagrams to and from this peer, and no other. It hears of every ICMP error.
    ///
    /// # Errors
    /// As [`Self::tcp`].
    pub(crate) async fn udp(&self, broker: &Broker) -> Result<UdpSocket, DialError> {
        let socket = if self.origin == Origin::default() {
            // Not as std does it: the confinement knows no bind.
            let family = match self.to.ip() {
                IpAddr::V4(_) => AddressFamily::INET,
                IpAddr::V6(_) => AddressFamily::INET6,
            };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(family, SocketType::DGRAM, flags, None);
            let socket = socket.map_err(io::Error::from)?;
            connect(&socket, &self.to).map_err(io::Error::from)?;
            socket
        } else {
            self.brokered(broker, Transport::Udp).await?
        };
        // Else the kernel tells that a port is closed, and not that a host or a network cannot be reached.
        let hears = match self.to.ip() {
            IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
            IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
        };
        hears.map_err(io::Error::from)?;
        Ok(UdpSocket::from_std(socket.into())?)
    }

    async fn brokered(&self, broker: &Broker, transport: Transport) -> Result<OwnedFd, DialError> {
        let question = Question::Socket(SocketRequest {
            transport,
            to: self.to,
            origin: self.origin,
        });
        match broker.ask(&self.plugin, question).await? {
            (Answer::Socket, Some(socket)) => Ok(socket),
            _ => Err(Refusal::Unavailable("the daemon gave something else".to_owned()).into()),
        }
    }
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The system says no; also what the daemon's system says.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The daemon says no.
    #[error("{0:?}")]
    Refused(Refusal),
}

impl From<Refusal> for DialError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::System(number) => Self::Io(io::Error::from_raw_os_error(number)),
            other => Self::Refused(other),
        }
    }
}
