//! Where packets may come from: an address of this machine.

use std::fmt::Display;
use std::net::IpAddr;

use mainstay_protocol::{Origin, Refusal};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// The source that was chosen for packets to this peer, if any was.
///
/// That it is this machine's is looked up: the kernel of a router often lets it bind addresses that it may get later.
pub(super) async fn source(origin: &Origin, peer: IpAddr) -> Result<Option<IpAddr>, Refusal> {
    let Some(source) = origin.source.map(|source| source.to_canonical()) else {
        return Ok(None);
    };
    if source.is_ipv4() != peer.is_ipv4() {
        let why = format!("{source} and {peer} are not of one family");
        return Err(Refusal::Invalid(why));
    }
    let listing = tokio::task::spawn_blocking(move || {
        getifaddrs().map(|mut all| all.any(|one| ip(one.address) == Some(source)))
    });
    let found = listing.await.map_err(unknown)?.map_err(unknown)?;
    let none = || Refusal::Invalid(format!("{source} is no address of this machine"));
    found.then_some(Some(source)).ok_or_else(none)
}

fn unknown(error: impl Display) -> Refusal {
    Refusal::Unavailable(format!(
        "the addresses of this machine are not known: {error}"
    ))
}

fn ip(address: Option<SockaddrStorage>) -> Option<IpAddr> {
    let address = address?;
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}
