//! The addresses of this machine.

use std::net::IpAddr;

use mainstay_protocol::Refusal;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// Makes sure that an address is one of this machine's. The kernel alone would not: routers often let
/// it bind addresses that they may get later.
pub(super) async fn require(address: IpAddr) -> Result<(), Refusal> {
    let unknown = |error: &dyn std::fmt::Display| {
        Refusal::Unavailable(format!(
            "the addresses of this machine are not known: {error}"
        ))
    };
    let listing = tokio::task::spawn_blocking(move || {
        getifaddrs().map(|mut all| all.any(|one| ip(one.address) == Some(address)))
    });
    let found = listing.await.map_err(|error| unknown(&error))?;
    match found.map_err(|error| unknown(&error))? {
        true => Ok(()),
        false => Err(Refusal::Invalid(format!(
            "{address} is no address of this machine"
        ))),
    }
}

fn ip(address: Option<SockaddrStorage>) -> Option<IpAddr> {
    let address = address?;
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}
