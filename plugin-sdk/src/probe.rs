//! Connections that the host makes for the plugin. Needs `permissions.probe`, or the target of the run.

use std::time::Duration;

use crate::Endpoint;
use crate::bindings::host::mainstay::plugin::{network, probe as wit};

#[doc(inline)]
pub use network::{Options, TlsInfo, TlsOptions};
#[doc(inline)]
pub use wit::{Error, Exchange};

impl Options {
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
