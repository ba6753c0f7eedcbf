//! Sockets with a source address or a mark, which take a privilege, or a call that the worker may not make.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use mainstay_protocol::{Refusal, SocketRequest, Transport, canonical};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use super::asker::Asker;
use super::{origin, system};

/// A socket that is connected or about to be. Nothing waits for the peer here.
pub(super) async fn open(asker: &Asker, request: &SocketRequest) -> Result<OwnedFd, Refusal> {
    let peer = canonical(request.to.ip()).filter(|_| request.to.port() != 0);
    let peer = peer.ok_or_else(|| Refusal::Invalid("the peer is none".to_owned()))?;
    let to = SocketAddr::new(peer, request.to.port());
    if !asker.may_reach(to, &request.origin) {
        return Err(Refusal::NotPermitted);
    }
    let kind = match request.transport {
        Transport::Tcp => Type::STREAM,
        Transport::Udp => Type::DGRAM,
    };
    let socket = Socket::new(Domain::for_address(to), kind.nonblocking(), None).map_err(system)?;
    if let Some(mark) = request.origin.fwmark {
        socket.set_mark(mark).map_err(system)?;
    }
    if let Some(source) = origin::source(&request.origin, peer).await? {
        let any_port = SocketAddr::new(source, 0);
        socket.bind(&any_port.into()).map_err(system)?;
    }
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(system(error)),
        _ => Ok(socket.into()),
    }
}
