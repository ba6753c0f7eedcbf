//! Requests of plugins over TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use mainstay_protocol::Grants;
use mainstay_worker_tests::tls::{self, Authority};
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::peers::{asking, http, said, urls};

/// Answers over TLS until the test ends.
fn serving(config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut session = tls::accept(stream.unwrap(), config.clone());
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && session.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            // Who does not trust this has gone.
            let _ = session.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine");
            session.conn.send_close_notify();
            let _ = session.flush();
        }
    });
    at
}

fn step(url: &str, name: &str, authority: &Authority) -> Value {
    json!({
        "ask": "fetch", "of": url, "server-name": name, "authorities": authority.pem(),
    })
}

#[test]
fn https_is_fetched_from_whom_the_certificate_is_for() {
    let authority = Authority::new();
    let identity = authority.identity("shop.example", 2200);
    let at = serving(tls::config(identity, &["http/1.1"]));
    let url = format!("https://shop.example:{}/x", at.port());
    let mut to = step(&url, "shop.example", &authority);
    to["connect-to"] = json!(at.to_string());
    let report = asking(json!([to]))
        .grants(http(&[&format!("https://{at}/")]))
        .run();
    assert_eq!(said(&report), ["200 4 fine"]);
}

/// A wrong certificate is an answer of its own, and nothing was asked.
#[test]
fn t22_a_wrong_certificate_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::named("stranger");
    for (name, until, trusted) in [
        ("other.example", 2200, &authority),
        ("shop.example", 2001, &authority),
        ("shop.example", 2200, &stranger),
    ] {
        let at = serving(tls::config(authority.identity(name, until), &[]));
        let url = format!("https://{at}/");
        let steps = json!([step(&url, "shop.example", trusted)]);
        let said = said(&asking(steps).grants(http(&[&url])).run());
        assert!(said[0].contains("TlsFailed"), "{name} {until}: {said:?}");
    }
    // The system knows nobody of this name either.
    let at = serving(tls::config(authority.identity("shop.example", 2200), &[]));
    let url = format!("https://{at}/");
    let steps = json!([{ "ask": "fetch", "of": url }]);
    let said = said(&asking(steps).grants(http(&[&url])).run());
    assert!(said[0].contains("TlsFailed"), "{said:?}");
}

#[test]
fn going_unverified_is_granted_apart() {
    let authority = Authority::new();
    let at = serving(tls::config(authority.identity("shop.example", 2001), &[]));
    let url = format!("https://{at}/");
    let steps = json!([{ "ask": "fetch", "of": url, "server-name": "x", "verify": false }]);
    let mut grants = http(&[&url]);
    let report = asking(steps.clone()).grants(grants.clone()).run();
    assert_eq!(said(&report), ["!Error::NotPermitted"]);
    assert_eq!(
        report.denied,
        [(
            "http.fetch without verification".to_owned(),
            format!("permissions.http = {{ urls = [\"{url}\"], unverified-tls = true }}")
        )]
    );
    grants.http.unverified_tls = true;
    assert_eq!(said(&asking(steps).grants(grants).run()), ["200 4 fine"]);
}

#[test]
fn wasi_http_verifies_unless_the_grant_says_otherwise() {
    let authority = Authority::new();
    let at = serving(tls::config(
        authority.identity("127.0.0.1", 2200),
        &["http/1.1"],
    ));
    let url = format!("https://{at}/");
    let steps = json!([{ "ask": "wasi-fetch", "of": url }]);
    let mut grants = Grants {
        wasi_http: urls(&[&url]),
        ..Grants::default()
    };
    let refused = said(&asking(steps.clone()).grants(grants.clone()).run());
    assert!(refused[0].contains("TlsCertificateError"), "{refused:?}");
    grants.wasi_http.unverified_tls = true;
    assert_eq!(said(&asking(steps).grants(grants).run()), ["200 4 fine"]);
}

#[test]
fn what_is_no_tls_is_an_error_in_time() {
    let (at, _requests) = super::peers::answering("HTTP/1.1 400 Bad Request\r\n\r\n");
    let url = format!("https://{at}/");
    let mut step = json!({ "ask": "fetch", "of": url, "timeout-ms": 2000 });
    step["server-name"] = json!("x");
    let said = said(&asking(json!([step])).grants(http(&[&url])).run());
    assert!(
        said[0].contains("TlsFailed") || said[0].contains("TimedOut"),
        "{said:?}"
    );
}
