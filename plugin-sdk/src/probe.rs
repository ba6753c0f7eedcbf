//! Connections that the host makes for the plugin. Needs `permissions.probe`, or the target of the run.

use std::time::Duration;

use crate::Endpoint;
use crate::bindings::host::mainstay::plugin::{network, probe as wit};

#[doc(inline)]
pub use network::{Options, TlsInfo, TlsOptions};
#[doc(inline)]
pub use wit::{Error, Exchange};

impl Options {
    /// From this source address; the permission has to list it.
    #[must_use]
    pub fn from(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With this mark on the packets, for policy routing; the permission has to list it.
    #[must_use]
    pub fn marked(mut self, fwmark: u32) -> Self {
        self.fwmark = Some(fwmark);
        self
    }

    /// Gives up after `timeout`, in whole milliseconds; the host cuts it to what is left of the run.
    #[must_use]
    pub fn timeout(timeout: Duration) -> Self {
        Self {
            timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            source: None,
            fwmark: None,
            attributes: Vec::new(),
        }
    }
}

/// Connects and closes again; how long connecting took.
///
/// # Errors
///
/// What came of it: [`Error::Refused`], [`Error::TimedOut`] and [`Error::Unreachable`] speak of the peer, the others of
/// the probe itself.
pub fn tcp_connect(to: &Endpoint, options: &Options) -> Result<Duration, Error> {
    wit::tcp_connect(to, options).map(Duration::from_micros)
}

/// Connects, sends, reads a bounded reply, closes.
///
/// # Errors
///
/// Those of [`tcp_connect`], and [`Error::ProtocolError`] when the peer closes too early.
pub fn tcp_exchange(
    to: &Endpoint,
    exchange: &Exchange,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    wit::tcp_exchange(to, exchange, options)
}

/// Sends one datagram and waits for one of the same peer.
///
/// # Errors
///
/// Those of [`tcp_connect`]: [`Error::Refused`] when nobody listens there, [`Error::TimedOut`] when nobody answers.
pub fn udp_exchange(
    to: &Endpoint,
    exchange: &Exchange,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    wit::udp_exchange(to, exchange, options)
}

impl TlsOptions {
    /// Verifies that the certificate is for this name, by the system's authorities.
    #[must_use]
    pub fn verified(server_name: impl Into<String>) -> Self {
        Self {
            server_name: server_name.into(),
            verify: true,
            authorities: None,
            alpn: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Accepts any certificate: for looking at it. Needs `unverified-tls = true` in the permission.
    #[must_use]
    pub fn unverified(server_name: impl Into<String>) -> Self {
        Self {
            verify: false,
            ..Self::verified(server_name)
        }
    }
}

/// Connects, shakes hands, closes; who the peer is.
///
/// # Errors
///
/// Those of [`tcp_connect`], and [`Error::TlsFailed`].
pub fn tls_handshake(to: &Endpoint, tls: &TlsOptions, options: &Options) -> Result<TlsInfo, Error> {
    wit::tls_handshake(to, tls, options)
}

/// Sends one ICMP echo request; how long the reply took. Needs `icmp = true` in the permission.
///
/// # Errors
///
/// Those of [`tcp_connect`].
pub fn icmp_echo(address: &str, options: &Options) -> Result<Duration, Error> {
    wit::icmp_echo(address, options).map(Duration::from_micros)
}

/// A conversation of several turns. Dropping it closes it.
#[derive(Debug)]
pub struct Connection(wit::Connection);

impl Connection {
    /// Connects. The timeout holds for this and for each later call.
    ///
    /// # Errors
    ///
    /// Those of [`tcp_connect`].
    pub fn open(to: &Endpoint, options: &Options) -> Result<Self, Error> {
        wit::tcp_open(to, options).map(Self)
    }

    /// Sends all of it, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// [`Error::ProtocolError`] when the peer has gone.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        self.0.send(bytes)
    }

    /// Receives up to `max` bytes as soon as some are there; none once the peer has closed.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`Error::TimedOut`] when nothing comes.
    pub fn receive(&self, max: u32) -> Result<Vec<u8>, Error> {
        self.0.receive(max, None)
    }

    /// Receives up to and with `end`, for example a line. Without it at the end, `max` bytes have come or the peer has
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_until(&self, end: &[u8], max: u32) -> Result<Vec<u8>, Error> {
        self.0.receive(max, Some(end))
    }

    /// Goes on in TLS, after whatever the protocol says to announce it.
    ///
    /// # Errors
    ///
    /// [`Error::TlsFailed`]; [`Error::ProtocolError`] when the peer has said something that was not received, which
    /// nobody could tell from what somebody in between has put in.
    pub fn start_tls(&self, tls: &TlsOptions) -> Result<TlsInfo, Error> {
        self.0.start_tls(tls)
    }
}
