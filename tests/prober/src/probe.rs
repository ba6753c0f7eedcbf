//! The calls of `probe`.

use std::time::Duration;

use mainstay_plugin::check::Target;
use mainstay_plugin::prelude::*;
use mainstay_plugin::probe::{self, Connection, Error, Options, TlsInfo, TlsOptions};
use serde_json::{Value, json};

use crate::{Call, bytes, data, outcome};

/// Where to, and how.
#[settings]
pub(crate) struct To {
    /// `address:port`, or an address alone for an echo; `target` for the target of the run.
    to: String,
    /// Milliseconds.
    #[serde(default = "long")]
    timeout: u64,
    source: Option<String>,
    fwmark: Option<u32>,
}

/// A question and an answer.
#[settings]
pub(crate) struct Exchange {
    to: String,
    #[serde(default = "long")]
    timeout: u64,
    source: Option<String>,
    fwmark: Option<u32>,
    /// What to send.
    #[serde(default)]
    send: String,
    /// How often that text is repeated in what is sent.
    #[serde(default = "once")]
    repeat: usize,
    #[serde(default = "much")]
    max: u32,
    until: Option<String>,
}

/// A handshake.
#[settings]
pub(crate) struct Handshake {
    to: String,
    #[serde(default = "long")]
    timeout: u64,
    source: Option<String>,
    fwmark: Option<u32>,
    tls: Tls,
}

/// Options of TLS.
#[settings]
pub(crate) struct Tls {
    name: String,
    #[serde(default = "yes")]
    verify: bool,
    authorities: Option<String>,
    #[serde(default)]
    alpn: Vec<String>,
}

/// One turn of a conversation.
#[settings]
pub(crate) struct Receive {
    #[serde(default = "much")]
    max: u32,
    until: Option<String>,
}

fn long() -> u64 {
    5000
}

fn much() -> u32 {
    u32::MAX
}

fn once() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// The connections of a run, and its target.
pub(crate) struct Probes {
    target: Option<Endpoint>,
    open: Vec<Connection>,
}

impl Probes {
    pub(crate) fn of(request: &Request) -> Self {
        let target = match &request.target {
            Target::Endpoint(endpoint) => Some(endpoint.clone()),
            _ => None,
        };
        Self {
            target,
            open: Vec::new(),
        }
    }

    /// Makes a call; what came of it.
    pub(crate) fn make(&mut self, call: &Call) -> Value {
        match call {
            Call::TcpConnect(to) => {
                let result = probe::tcp_connect(&self.endpoint(&to.to), &to.options());
                answer(result.map(microseconds))
            }
            Call::TcpExchange(with) => {
                let result = probe::tcp_exchange(
                    &self.endpoint(&with.to),
                    &with.exchange(),
                    &with.options(),
                );
                answer(result.map(|reply| bytes(&reply)))
            }
            Call::UdpExchange(with) => {
                let result = probe::udp_exchange(
                    &self.endpoint(&with.to),
                    &with.exchange(),
                    &with.options(),
                );
                answer(result.map(|reply| bytes(&reply)))
            }
            Call::TlsHandshake(with) => {
                let to = self.endpoint(&with.to);
                answer(probe::tls_handshake(&to, &with.tls.options(), &with.options()).map(info))
            }
            Call::IcmpEcho(to) => {
                let address = match (to.to.as_str(), &self.target) {
                    ("target", Some(target)) => &target.address,
                    (address, _) => address,
                };
                answer(probe::icmp_echo(address, &to.options()).map(microseconds))
            }
            Call::TcpOpen(to) => {
                let opened = Connection::open(&self.endpoint(&to.to), &to.options());
                answer(opened.map(|connection| {
                    self.open.push(connection);
                    self.open.len()
                }))
            }
            Call::Send(text) => answer(
                self.last(|connection| connection.send(text.as_bytes()).map(|()| Value::Null)),
            ),
            Call::Receive(receive) => answer(self.last(|connection| {
                let received = match &receive.until {
                    Some(end) => connection.receive_until(end.as_bytes(), receive.max),
                    None => connection.receive(receive.max),
                };
                received.map(|received| bytes(&received))
            })),
            Call::StartTls(tls) => {
                answer(self.last(|connection| connection.start_tls(&tls.options()).map(info)))
            }
            Call::Close => {
                self.open.clear();
                answer(Ok(Value::Null))
            }
            Call::Data(call) => data::make(call),
        }
    }

    fn last<T>(&self, call: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let nothing = || Error::Other("nothing is open".to_owned());
        call(self.open.last().ok_or_else(nothing)?)
    }

    /// Not checked here: that is for the host.
    fn endpoint(&self, to: &str) -> Endpoint {
        if let ("target", Some(target)) = (to, &self.target) {
            return target.clone();
        }
        let (address, port) = to.rsplit_once(':').unwrap_or((to, "0"));
        Endpoint {
            address: address.trim_matches(['[', ']']).to_owned(),
            port: port.parse().unwrap_or(0),
        }
    }
}

fn options(timeout: u64, source: &Option<String>, fwmark: Option<u32>) -> Options {
    Options {
        source: source.clone(),
        fwmark,
        ..Options::timeout(Duration::from_millis(timeout))
    }
}

impl To {
    fn options(&self) -> Options {
        options(self.timeout, &self.source, self.fwmark)
    }
}

impl Exchange {
    fn options(&self) -> Options {
        options(self.timeout, &self.source, self.fwmark)
    }

    fn exchange(&self) -> probe::Exchange {
        probe::Exchange {
            send: self.send.repeat(self.repeat).into_bytes(),
            max_reply: self.max,
            until: self.until.as_ref().map(|until| until.clone().into_bytes()),
        }
    }
}

impl Handshake {
    fn options(&self) -> Options {
        options(self.timeout, &self.source, self.fwmark)
    }
}

impl Tls {
    fn options(&self) -> TlsOptions {
        TlsOptions {
            verify: self.verify,
            authorities: self
                .authorities
                .as_ref()
                .map(|pem| pem.clone().into_bytes()),
            alpn: self.alpn.clone(),
            ..TlsOptions::verified(&self.name)
        }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn info(info: TlsInfo) -> Value {
    json!({
        "protocol-version": info.protocol_version,
        "cipher-suite": info.cipher_suite,
        "alpn": info.alpn,
        "subject": info.subject,
        "issuer": info.issuer,
        "not-after": info.not_after,
        "days-left": info.days_left,
        "rejected": info.rejected,
    })
}

fn answer<T: Into<Value>>(result: Result<T, Error>) -> Value {
    outcome(result.map_err(|error| match error {
        Error::NotPermitted => ("not-permitted", String::new()),
        Error::InvalidAddress => ("invalid-address", String::new()),
        Error::InvalidOption(text) => ("invalid-option", text),
        Error::Refused => ("refused", String::new()),
        Error::Unreachable => ("unreachable", String::new()),
        Error::TimedOut => ("timed-out", String::new()),
        Error::TlsFailed(text) => ("tls-failed", text),
        Error::ProtocolError(text) => ("protocol-error", text),
        Error::TooMany => ("too-many", String::new()),
        Error::Other(text) => ("other", text),
    }))
}
