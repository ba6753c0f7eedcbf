//! `probe`: what the host sends and receives for a plugin, within its grants.

mod failure;
mod permission;
mod reply;
mod udp;

use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{Duration, timeout};
use wasmtime::component::Resource;

use super::State;
use crate::bindings::common::Endpoint;
use crate::bindings::network::{Options, TlsInfo, TlsOptions};
use crate::bindings::probe::{Error, Exchange, Host, HostConnection};
use failure::invalid;
use reply::Enough;

/// Probes of one run, at most.
const PER_RUN: u32 = 16;
/// Probes of all runs at the same time, at most; bounds the sockets of the worker.
const AT_ONCE: usize = 128;
/// Bytes sent and bytes received in one exchange, at most.
const BYTES: usize = 64 << 10;

/// Bounds the probes that go on at the same time.
#[derive(Debug)]
pub(crate) struct ProbeSlots(pub(super) Arc<Semaphore>);

impl Default for ProbeSlots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Host for State {
    async fn tcp_connect(&mut self, to: Endpoint, options: Options) -> Result<u64, Error> {
        let probe = self.may_probe("probe.tcp-connect", &to, &options)?;
        within(probe.limit, async {
            let start = Instant::now();
            probe.dial.tcp(&self.shared.broker).await?;
            Ok(microseconds(start.elapsed()))
        })
        .await
    }

    async fn tcp_exchange(
        &mut self,
        to: Endpoint,
        exchange: Exchange,
        options: Options,
    ) -> Result<Vec<u8>, Error> {
        let probe = self.may_probe("probe.tcp-exchange", &to, &options)?;
        check_length(&exchange.send)?;
        within(probe.limit, async {
            let mut stream = probe.dial.tcp(&self.shared.broker).await?;
            stream.write_all(&exchange.send).await?;
            let enough = Enough::new(exchange.max_reply, exchange.until.as_deref());
            Ok(reply::read(&mut stream, enough).await?)
        })
        .await
    }

    async fn udp_exchange(
        &mut self,
        to: Endpoint,
        exchange: Exchange,
        options: Options,
    ) -> Result<Vec<u8>, Error> {
        let probe = self.may_probe("probe.udp-exchange", &to, &options)?;
        check_length(&exchange.send)?;
        within(probe.limit, async {
            let socket = probe.dial.udp(&self.shared.broker).await?;
            udp::exchange(&socket, &exchange).await
        })
        .await
    }

    async fn tls_handshake(
        &mut self,
        _: Endpoint,
        _: TlsOptions,
        _: Options,
    ) -> Result<TlsInfo, Error> {
        Err(not_yet())
    }

    async fn icmp_echo(&mut self, _: String, _: Options) -> Result<u64, Error> {
        Err(not_yet())
    }

    async fn tcp_open(&mut self, _: Endpoint, _: Options) -> Result<Resource<Connection>, Error> {
        Err(not_yet())
    }
}

/// A conversation that a guest has open.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub struct Connection;

impl HostConnection for State {
    async fn send(&mut self, _: Resource<Connection>, _: Vec<u8>) -> Result<(), Error> {
        Err(not_yet())
    }

    async fn receive(
        &mut self,
        _: Resource<Connection>,
        _: u32,
        _: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        Err(not_yet())
    }

    async fn start_tls(
        &mut self,
        _: Resource<Connection>,
        _: TlsOptions,
    ) -> Result<TlsInfo, Error> {
        Err(not_yet())
    }

    async fn drop(&mut self, _: Resource<Connection>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// What the contract has and this version has not: no grant would help.
fn not_yet() -> Error {
    Error::Other("this version of the daemon cannot do that yet".to_owned())
}

fn check_length(bytes: &[u8]) -> Result<(), Error> {
    match bytes.len() {
        0..=BYTES => Ok(()),
        _ => Err(invalid(&format!("more than {BYTES} bytes to send"))),
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or(Err(Error::TimedOut))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
