//! One ICMP echo (RFC 792, RFC 4443 section 4): a request, and the time until its reply.
//!
//! By a ping socket where `net.ipv4.ping_group_range` allows it, where the kernel keeps foreign replies away; else by a
//! raw socket with an identifier of its own and a filter for it. Either way the reply has to bring back 16 random bytes.

mod message;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::rand::{GetRandomFlags, getrandom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use message::{Form, Request};

/// More than any reply to a request of ours has, behind the longest IP header. What fills it is none.
const ROOM: usize = 128;

/// Sends an echo request and waits for the reply, without end.
///
/// `source` has to be of the peer's family. With a mark, `CAP_NET_ADMIN` or `CAP_NET_RAW` is needed.
///
/// # Errors
///
/// What the system says, and what comes back from on the way: `ConnectionRefused`, `HostUnreachable`,
/// `NetworkUnreachable`. `PermissionDenied` where neither kind of socket may be opened.
pub async fn echo(to: IpAddr, source: Option<IpAddr>, fwmark: Option<u32>) -> io::Result<Duration> {
    let mut random = [0; 18];
    getrandom(&mut random, GetRandomFlags::empty())?;
    let request = Request::new(to.is_ipv4(), random);
    let (socket, form) = open(to, &request)?;
    if let Some(mark) = fwmark {
        socket.set_mark(mark)?;
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&SocketAddr::new(to, 0).into())?;
    // To the runtime it is a socket of datagrams with one peer, whatever their protocol.
    let socket = UdpSocket::from_std(OwnedFd::from(socket).into())?;
    let begin = Instant::now();
    socket.send(&request.bytes()).await?;
    let mut buffer = [0; ROOM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if request.is_answered_by(&buffer[..length], form) {
            return Ok(begin.elapsed());
        }
    }
}

/// A socket for this request, with the filter that it needs.
fn open(to: IpAddr, request: &Request) -> io::Result<(Socket, Form)> {
    let (domain, protocol) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let (socket, form) = match Socket::new(domain, Type::DGRAM.nonblocking(), Some(protocol)) {
        Ok(socket) => (socket, Form::Ping),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
            socket.attach_filter(&request.filter())?;
            (socket, Form::Raw)
        }
        Err(error) => return Err(error),
    };
    match to {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok((socket, form))
}

#[cfg(test)]
mod tests;
