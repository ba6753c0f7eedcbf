//! What a handshake came to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{ClientConnection, ProtocolVersion};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

use crate::bindings::network::TlsInfo;
use crate::text::one_line;

/// Bytes of a distinguished name, at most.
const NAME: usize = 512;
/// Bytes of any other text, at most.
const TEXT: usize = 256;
const DAY: i64 = 24 * 60 * 60;

/// Describes a connection whose handshake is done.
///
/// # Errors
/// In words, when the peer has shown no certificate that can be read.
pub(super) fn of(
    connection: &ClientConnection,
    rejected: Option<String>,
) -> Result<TlsInfo, String> {
    let leaf = connection.peer_certificates().and_then(<[_]>::first);
    let leaf = leaf.ok_or("the peer has shown no certificate")?;
    let leaf = CertificateInner::<Raw>::from_der(leaf);
    let leaf = leaf.map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let leaf = &leaf.tbs_certificate;
    let not_after = seconds(leaf.validity.not_after.to_unix_duration());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = (not_after - now.map_or(0, seconds)).div_euclid(DAY);
    let suite = connection.negotiated_cipher_suite();
    let suite = suite
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or_default();
    let alpn = connection.alpn_protocol().map(String::from_utf8_lossy);
    Ok(TlsInfo {
        protocol_version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        },
        // rustls tells those of TLS 1.3 apart by a name that is not the registry's.
        cipher_suite: suite.replacen("TLS13_", "TLS_", 1),
        alpn: alpn.map(|protocol| one_line(&protocol, TEXT)),
        subject: one_line(&leaf.subject.to_string(), NAME),
        issuer: one_line(&leaf.issuer.to_string(), NAME),
        not_after,
        days_left: i32::try_from(left).unwrap_or(if left < 0 { i32::MIN } else { i32::MAX }),
        rejected: rejected.map(|why| one_line(&why, TEXT)),
        attributes: Vec::new(),
    })
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
