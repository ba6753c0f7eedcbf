//! `probe`: what the host sends and receives for a plugin, within its grants.

mod connection;
mod failure;
mod permission;
mod reply;
mod udp;

use std::time::Instant;

use mainstay_protocol::{Answer, EchoRequest, Question, peer_address};
use tokio::io::AsyncWriteExt;
use tokio::time::{Duration, timeout};
use wasmtime::component::Resource;

use super::State;
use crate::bindings::common::Endpoint;
use crate::bindings::network::{Options, TlsInfo, TlsOptions};
use crate::bindings::probe::{Error, Exchange, Host};
use crate::host::tls::Client;
use crate::turn::Turn;
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub use connection::Connection;
use failure::{invalid, other};
use reply::Enough;

/// Probes of one run, at most.
const PER_RUN: u32 = 16;
/// Bytes sent and bytes received in one exchange, at most.
const BYTES: usize = 64 << 10;
/// Bytes that one run receives over connections, about.
const RECEIVED: usize = 1 << 20;

impl Host for State {
    async fn tcp_connect(&mut self, to: Endpoint, options: Options) -> Result<u64, Error> {
        let probe = self.may_probe("probe.tcp-connect", &to, &options)?;
        within(&probe.turn, probe.limit, async {
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
        within(&probe.turn, probe.limit, async {
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
        within(&probe.turn, probe.limit, async {
            let socket = probe.dial.udp(&self.shared.broker).await?;
            udp::exchange(&socket, &exchange).await
        })
        .await
    }

    async fn tls_handshake(
        &mut self,
        to: Endpoint,
        tls: TlsOptions,
        options: Options,
    ) -> Result<TlsInfo, Error> {
        let probe = self.may_probe("probe.tls-handshake", &to, &options)?;
        let client = self.tls_client("probe.tls-handshake", &tls)?;
        within(&probe.turn, probe.limit, async {
            let stream = probe.dial.tcp(&self.shared.broker).await?;
            let (mut stream, info) = client.handshake(stream).await?;
            // Out of courtesy: the peer has shown all that there is to see.
            let _ = stream.shutdown().await;
            Ok(info)
        })
        .await
    }

    async fn icmp_echo(&mut self, address: String, options: Options) -> Result<u64, Error> {
        let function = "probe.icmp-echo";
        let _call = self.begin_probe(function);
        let to = peer_address(&address).ok_or(Error::InvalidAddress)?;
        let origin = permission::origin(&options, to)?;
        self.may_echo(function, to)?;
        self.may_come_from(function, &origin)?;
        let _slot = self.probe_slot()?;
        let limit = self.time_for(&options);
        let question = Question::Echo(EchoRequest {
            to,
            origin,
            timeout_ms: u32::try_from(limit.as_millis()).unwrap_or(u32::MAX),
        });
        let turn = self.waiting_turn();
        let asked = self.shared.broker.ask(&self.grants.plugin, question);
        within(&turn, limit, async {
            match asked.await?.0 {
                Answer::Echo { round_trip_us } => Ok(round_trip_us),
                _ => Err(other("the daemon answered something else")),
            }
        })
        .await
    }

    async fn tcp_open(
        &mut self,
        to: Endpoint,
        options: Options,
    ) -> Result<Resource<Connection>, Error> {
        let probe = self.may_probe("probe.tcp-open", &to, &options)?;
        let dial = probe.dial.tcp(&self.shared.broker);
        let stream = within(&probe.turn, probe.limit, async { Ok(dial.await?) }).await?;
        let each = Duration::from_millis(options.timeout_ms.into());
        self.opened += 1;
        let connection = Connection::new(stream, each, probe.slot);
        let pushed = self.wasi.resources.push(connection);
        pushed.map_err(|error| other(&error.to_string()))
    }
}

impl State {
    /// A TLS client, which verifies unless the grant says that it need not.
    fn tls_client(&self, function: &str, tls: &TlsOptions) -> Result<Client, Error> {
        if !tls.verify && !self.grants.probe.grant().unverified_tls {
            let call = format!("{function} without verification");
            return Err(self.deny_probe(&call, |grant| grant.unverified_tls = true));
        }
        Ok(self.shared.tls.client(tls)?)
    }
}

fn check_length(bytes: &[u8]) -> Result<(), Error> {
    match bytes.len() {
        0..=BYTES => Ok(()),
        _ => Err(invalid(&format!("more than {BYTES} bytes to send"))),
    }
}

/// Waits for this, but no longer than so long.
async fn within<T>(
    turn: &Turn,
    limit: Duration,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let work = turn.wait(timeout(limit, work));
    work.await.unwrap_or(Err(Error::TimedOut))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
