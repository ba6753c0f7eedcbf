//! What of WASI 0.2 a run may use beside clocks, chance and its output: the sockets and the
//! directories that it is granted, and nothing without a grant.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mainstay_protocol::canonical;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::{tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView};
use wasmtime_wasi::{FsPerms, WasiCtx};

use super::{RunLog, State, stdio};
use crate::grant_line;
use crate::grants::Grants;
use crate::tally::Tally;

/// Random bytes that a guest gets in one call, at most.
const RANDOM: u64 = 64 << 10;
/// Sockets that one run makes, at most.
const SOCKETS: u32 = 16;

/// WASI for one run: no environment, no arguments, and only what is granted.
pub(super) fn context(grants: &Arc<Grants>, tally: &Arc<Tally>, log: &Arc<RunLog>) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    let sockets = grants.may_make_sockets();
    builder
        .stdout(stdio::Output::stdout(log))
        .stderr(stdio::Output::stderr(log))
        .max_random_size(RANDOM)
        .allow_tcp(sockets)
        .allow_udp(sockets)
        .allow_ip_name_lookup(false);
    if sockets {
        let (grants, tally) = (grants.clone(), tally.clone());
        builder.socket_addr_check(move |address, to| {
            let allowed = may(&grants, &tally, address, to);
            Box::pin(std::future::ready(allowed))
        });
    }
    for directory in &grants.files {
        // It was there at the load. When it has gone since, it is not there for the guest either.
        let name = directory.display().to_string();
        let _ = builder.preopened_dir(directory, name, FsPerms::ReadOnly);
    }
    builder.build()
}

/// Whether a guest's socket may do this. The system asks for its own binding as well, before a
/// socket connects or sends.
fn may(grants: &Grants, tally: &Tally, address: SocketAddr, to: SocketAddrUse) -> bool {
    let rules = &grants.wasi_sockets;
    let peer = canonical(address.ip());
    let granted = peer.is_some_and(|peer| rules.allows(peer, address.port()));
    match to {
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
            address.ip().is_unspecified() && address.port() == 0
        }
        SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend => {
            if !granted {
                let line = line(grants, peer, address.port());
                tally.deny(format!("wasi-sockets.connect {address}"), line);
            }
            granted
        }
        SocketAddrUse::UdpReceive => granted,
        SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
    }
}

/// The line of the configuration that grants this peer as well.
fn line(grants: &Grants, peer: Option<IpAddr>, port: u16) -> String {
    let rules = &grants.wasi_sockets;
    let mut wanted = rules.grant().clone();
    let missing = peer.filter(|peer| !rules.covers(*peer));
    wanted
        .addresses
        .extend(missing.map(|peer| peer.to_string()));
    if !wanted.ports.contains(&port) {
        wanted.ports.push(port);
    }
    grant_line::sockets(&wanted)
}

/// Puts the count of a run's sockets before the functions that make them.
///
/// # Errors
/// None, unless WASI is not linked yet.
pub(super) fn link_sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    tcp_create_socket::add_to_linker::<_, Counted>(linker, sockets_of)?;
    udp_create_socket::add_to_linker::<_, Counted>(linker, sockets_of)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Counted;

impl HasData for Counted {
    type Data<'a> = Sockets<'a>;
}

/// The sockets of a run.
struct Sockets<'a>(&'a mut State);

fn sockets_of(state: &mut State) -> Sockets<'_> {
    Sockets(state)
}

impl Sockets<'_> {
    fn one_more(&mut self, function: &'static str) -> SocketResult<WasiSocketsCtxView<'_>> {
        let state = &mut *self.0;
        let _call = state.tally.call(function);
        if !state.grants.may_make_sockets() {
            let line = match state.target {
                Some(to) => line(&state.grants, Some(to.ip()), to.port()),
                None => "# permissions.wasi-sockets with the addresses and ports".to_owned(),
            };
            state.tally.deny(function.to_owned(), line);
            return Err(ErrorCode::AccessDenied.into());
        }
        state.sockets += 1;
        if state.sockets > SOCKETS {
            return Err(ErrorCode::NewSocketLimit.into());
        }
        Ok(state.sockets())
    }
}

impl network::HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<network::Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.0.sockets(), network)
    }
}

impl network::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.0.sockets().convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.0.sockets().network_error_code(error)
    }
}

impl tcp_create_socket::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.one_more("wasi-sockets.create-tcp-socket")?
            .create_tcp_socket(family)
    }
}

impl udp_create_socket::Host for Sockets<'_> {
    async fn create_udp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        self.one_more("wasi-sockets.create-udp-socket")?
            .create_udp_socket(family)
            .await
    }
}
