//! An address and a port, for the configuration and the command line.

use std::net::{IpAddr, SocketAddr};

/// What an endpoint looks like.
pub(crate) const EXPECTED: &str =
    "expected an address and a port, such as \"10.0.0.5:80\" or \"[2001:db8::5]:443\"";

/// Reads an endpoint that something can listen at: no name, no zone, no port 0. IPv4 mapped into IPv6
/// becomes IPv4.
pub(crate) fn parse(text: &str) -> Option<SocketAddr> {
    let endpoint: SocketAddr = text.parse().ok()?;
    let scoped = matches!(endpoint, SocketAddr::V6(v6) if v6.scope_id() != 0);
    let address = endpoint.ip().to_canonical();
    let nobody = match address {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    };
    let listens = !scoped && !nobody && endpoint.port() != 0;
    listens.then(|| SocketAddr::new(address, endpoint.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_literal_that_somebody_can_listen_at() {
        for (text, endpoint) in [
            ("10.0.0.5:80", Some("10.0.0.5:80")),
            ("[2001:db8::5]:443", Some("[2001:db8::5]:443")),
            ("[::ffff:10.0.0.5]:80", Some("10.0.0.5:80")),
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            ("10.0.0.5", None),
            ("10.0.0.5:0", None),
            ("10.0.0.5:65536", None),
            ("2001:db8::5:443", None),
            ("[fe80::1%2]:80", None),
            ("localhost:80", None),
            ("0.0.0.0:80", None),
            ("224.0.0.18:80", None),
            ("[ff02::1]:80", None),
            ("[::ffff:0.0.0.0]:80", None),
            (" 10.0.0.5:80", None),
            ("0x7f.1:80", None),
        ] {
            assert_eq!(
                parse(text).map(|e| e.to_string()).as_deref(),
                endpoint,
                "{text}"
            );
        }
    }
}
