//! A check that makes the calls in its settings, one after the other, and logs what came of each as a line of JSON:
//! `{"ok": …}` or `{"error": "refused"}`, texts of errors beside it as `"text"`.
//!
//! ```json
//! { "calls": [{ "tcp-connect": { "to": "127.0.0.1:80", "timeout": 500 } }] }
//! ```
//!
//! One module for each interface of the contract.

mod data;
mod probe;

use mainstay_plugin::log::Level;
use mainstay_plugin::prelude::*;
use serde_json::{Value, json};

/// What to call.
#[settings]
struct Settings {
    /// The calls, in their order.
    calls: Vec<Call>,
    /// How often to make all of them.
    #[serde(default = "once")]
    times: u32,
}

/// A function of the contract, with what it is given.
#[settings]
enum Call {
    /// `probe.tcp-connect`.
    TcpConnect(probe::To),
    /// `probe.tcp-exchange`.
    TcpExchange(probe::Exchange),
    /// `probe.udp-exchange`.
    UdpExchange(probe::Exchange),
    /// `probe.tls-handshake`.
    TlsHandshake(probe::Handshake),
    /// `probe.icmp-echo`.
    IcmpEcho(probe::To),
    /// `probe.tcp-open`; the calls below are on the connection that was opened last.
    TcpOpen(probe::To),
    /// `connection.send`.
    Send(String),
    /// `connection.receive`.
    Receive(probe::Receive),
    /// `connection.start-tls`.
    StartTls(probe::Tls),
    /// Drops all connections.
    Close,
    /// What is not about peers.
    Data(data::Call),
}

fn once() -> u32 {
    1
}

struct Prober;

impl Check for Prober {
    type Settings = Settings;

    fn run(settings: Settings, request: &Request) -> Result<Report> {
        let mut probes = probe::Probes::of(request);
        for _ in 0..settings.times {
            for call in &settings.calls {
                let outcome = probes.make(call);
                log::write(Level::Info, &outcome.to_string(), &[]);
            }
        }
        Ok(Report::healthy("all calls were made"))
    }
}

mainstay_plugin::check!(Prober);

/// What came of a call, as it is logged.
fn outcome<T: Into<Value>>(result: Result<T, (&'static str, String)>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value.into() }),
        Err((error, text)) if text.is_empty() => json!({ "error": error }),
        Err((error, text)) => json!({ "error": error, "text": text }),
    }
}

/// Bytes as they are logged: how many, and how they begin.
fn bytes(bytes: &[u8]) -> Value {
    let start = &bytes[..bytes.len().min(200)];
    json!({ "length": bytes.len(), "start": String::from_utf8_lossy(start) })
}
