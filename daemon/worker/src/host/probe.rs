//! `probe`: connections that the host makes for a plugin, within its grants.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::State;
use crate::bindings::common::Endpoint;
use wasmtime::component::Resource;

use crate::bindings::network::{Options, TlsInfo, TlsOptions};
use crate::bindings::probe::{Error, Exchange, Host, HostConnection};
use crate::grants::address;
use crate::text::one_line;

/// Probes of one run, at most.
const PER_RUN: u32 = 16;
/// Probes of all runs at the same time, at most; bounds the sockets of the worker.
const AT_ONCE: usize = 128;
/// Bytes sent and bytes received in one exchange, at most.
const BYTES: usize = 64 << 10;

/// Bounds the probes that go on at the same time.
#[derive(Debug)]
pub(crate) struct ProbeSlots(Arc<Semaphore>);

impl Default for ProbeSlots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Host for State {
    async fn tcp_connect(&mut self, to: Endpoint, options: Options) -> Result<u64, Error> {
        let _slot = self.may_probe("probe.tcp-connect", &to, &options)?;
        let peer = peer(&to)?;
        within(self.time_for(&options), async {
            let start = Instant::now();
            TcpStream::connect(peer).await.map_err(failure)?;
            Ok(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn tcp_exchange(
        &mut self,
        to: Endpoint,
        exchange: Exchange,
        options: Options,
    ) -> Result<Vec<u8>, Error> {
        let _slot = self.may_probe("probe.tcp-exchange", &to, &options)?;
        let peer = peer(&to)?;
        if exchange.send.len() > BYTES {
            return Err(Error::InvalidOption(format!(
                "more than {BYTES} bytes to send"
            )));
        }
        within(self.time_for(&options), async {
            let mut stream = TcpStream::connect(peer).await.map_err(failure)?;
            stream.write_all(&exchange.send).await.map_err(failure)?;
            reply(&mut stream, &exchange).await
        })
        .await
    }

    async fn udp_exchange(
        &mut self,
        _: Endpoint,
        _: Exchange,
        _: Options,
    ) -> Result<Vec<u8>, Error> {
        Err(Error::NotPermitted)
    }

    async fn tls_handshake(
        &mut self,
        _: Endpoint,
        _: TlsOptions,
        _: Options,
    ) -> Result<TlsInfo, Error> {
        Err(Error::NotPermitted)
    }

    async fn icmp_echo(&mut self, _: String, _: Options) -> Result<u64, Error> {
        Err(Error::NotPermitted)
    }

    async fn tcp_open(&mut self, _: Endpoint, _: Options) -> Result<Resource<Connection>, Error> {
        Err(Error::NotPermitted)
    }
}

/// A conversation that a guest has open.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub struct Connection;

impl HostConnection for State {
    async fn send(&mut self, _: Resource<Connection>, _: Vec<u8>) -> Result<(), Error> {
        Err(Error::NotPermitted)
    }

    async fn receive(
        &mut self,
        _: Resource<Connection>,
        _: u32,
        _: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        Err(Error::NotPermitted)
    }

    async fn start_tls(
        &mut self,
        _: Resource<Connection>,
        _: TlsOptions,
    ) -> Result<TlsInfo, Error> {
        Err(Error::NotPermitted)
    }

    async fn drop(&mut self, _: Resource<Connection>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl State {
    /// Checks address, grant and quotas, in this order: an address that is none is no denial.
    fn may_probe(
        &mut self,
        function: &'static str,
        to: &Endpoint,
        options: &Options,
    ) -> Result<OwnedSemaphorePermit, Error> {
        self.tally.call(function);
        self.probed += 1;
        let peer = peer(to)?;
        if options.source.is_some() || options.fwmark.is_some() {
            self.tally.deny(
                format!("{function} with a source address or mark"),
                "# no permission allows this yet".to_owned(),
            );
            return Err(Error::NotPermitted);
        }
        let granted = self.target == Some(peer) || self.grants.allows_probe(peer.ip(), peer.port());
        if !granted {
            self.tally.deny(
                one_line(&format!("{function} {peer}"), 128),
                self.grants.probe_line(peer.ip(), peer.port()),
            );
            return Err(Error::NotPermitted);
        }
        if self.probed > PER_RUN {
            return Err(Error::TooMany);
        }
        let slots = self.shared.probes.0.clone();
        slots.try_acquire_owned().map_err(|_| Error::TooMany)
    }

    fn time_for(&self, options: &Options) -> Duration {
        Duration::from_millis(options.timeout_ms.into()).min(self.remaining())
    }
}

fn peer(to: &Endpoint) -> Result<SocketAddr, Error> {
    let address = address(&to.address).ok_or(Error::InvalidAddress)?;
    if to.port == 0 {
        return Err(Error::InvalidAddress);
    }
    Ok(SocketAddr::new(address, to.port))
}

/// Reads until the reply is long enough, holds what is waited for, or ends.
async fn reply(stream: &mut TcpStream, exchange: &Exchange) -> Result<Vec<u8>, Error> {
    let most = (exchange.max_reply as usize).min(BYTES);
    let until = exchange.until.as_deref().filter(|until| !until.is_empty());
    let mut reply = Vec::new();
    let mut chunk = [0; 4096];
    while reply.len() < most {
        let room = chunk.len().min(most - reply.len());
        let received = stream.read(&mut chunk[..room]).await.map_err(failure)?;
        if received == 0 {
            break;
        }
        // What is waited for may begin in what was there before.
        let from = reply.len().saturating_sub(until.map_or(0, |u| u.len() - 1));
        reply.extend_from_slice(&chunk[..received]);
        let seen = |until: &[u8]| reply[from..].windows(until.len()).any(|w| w == until);
        if until.is_some_and(seen) {
            break;
        }
    }
    Ok(reply)
}

async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    timeout(time, work).await.unwrap_or(Err(Error::TimedOut))
}

fn failure(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::Refused,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Error::Unreachable,
        ErrorKind::TimedOut => Error::TimedOut,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Error::ProtocolError("the peer closed the connection".to_owned())
        }
        _ => Error::Other(one_line(&error.to_string(), 256)),
    }
}
