//! `tls-handshake`: what is accepted, and why not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use mainstay_protocol::ProbeGrant;
use mainstay_worker_tests::prober::{self, grant};
use mainstay_worker_tests::tls::{self, Authority};
use serde_json::{Value, json};

/// A handshake with a server on this port, and what came of it.
fn handshake(port: u16, tls: Value) -> Value {
    let to = format!("127.0.0.1:{port}");
    let calls = json!([{ "tls-handshake": { "to": to, "tls": tls, "timeout": 3000 } }]);
    let grant = ProbeGrant {
        unverified_tls: true,
        ..grant(&["127.0.0.1"], &[port])
    };
    prober::outcomes(&prober::probing(calls, grant))[0].clone()
}

fn failure(outcome: &Value) -> &str {
    assert_eq!(outcome["error"], "tls-failed", "{outcome}");
    outcome["text"].as_str().unwrap()
}

#[test]
fn a_certificate_that_is_right_is_accepted_and_described() {
    let authority = Authority::new();
    let port = tls::server(tls::config(
        authority.identity("a.test", 2100),
        &["smtp", "h2"],
    ));
    let options = json!({
        "name": "a.test",
        "authorities": authority.pem(),
        "alpn": ["http/1.1", "h2"],
    });
    let info = &handshake(port, options)["ok"];
    assert_eq!(info["protocol-version"], "TLSv1.3");
    let suite = info["cipher-suite"].as_str().unwrap();
    assert!(
        suite.starts_with("TLS_AES_") || suite.starts_with("TLS_CHACHA20_"),
        "{suite}"
    );
    assert_eq!(info["alpn"], "h2");
    assert_eq!(info["subject"], "CN=test server");
    assert_eq!(info["issuer"], "CN=test authority");
    assert_eq!(info["not-after"], 4_102_444_800_i64);
    let days = info["days-left"].as_i64().unwrap();
    assert!((20_000..40_000).contains(&days), "{days}");
    assert_eq!(info["rejected"], Value::Null);
}

#[test]
fn an_address_is_a_name_as_well() {
    let authority = Authority::new();
    let port = tls::server(tls::config(authority.identity("127.0.0.1", 2100), &[]));
    let options = |name| json!({ "name": name, "authorities": authority.pem() });
    assert_eq!(
        handshake(port, options("127.0.0.1"))["ok"]["alpn"],
        Value::Null
    );
    let port = tls::server(tls::config(authority.identity("127.0.0.1", 2100), &[]));
    let other = handshake(port, options("127.0.0.2"));
    assert!(failure(&other).contains("not valid for name"), "{other}");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_either_way() {
    let (ours, theirs) = (Authority::new(), Authority::named("another authority"));
    let cases = [
        (
            "expired",
            ours.identity("a.test", 2020),
            "certificate expired",
        ),
        (
            "wrong name",
            ours.identity("b.test", 2100),
            "not valid for name",
        ),
        (
            "unknown authority",
            theirs.identity("a.test", 2100),
            "UnknownIssuer",
        ),
    ];
    for (what, identity, words) in cases {
        let port = tls::server(tls::config(identity, &[]));
        let strict = json!({ "name": "a.test", "authorities": ours.pem() });
        let mut lax = strict.clone();
        lax["verify"] = json!(false);
        let refused = handshake(port, strict);
        assert!(failure(&refused).contains(words), "{what}: {refused}");
        let accepted = handshake(port, lax);
        let rejected = accepted["ok"]["rejected"].as_str().unwrap_or_default();
        assert!(rejected.contains(words), "{what}: {accepted}");
    }
}

#[test]
fn an_expired_certificate_has_days_below_zero() {
    let authority = Authority::new();
    let port = tls::server(tls::config(authority.identity("a.test", 2020), &[]));
    let info = handshake(port, json!({ "name": "a.test", "verify": false }));
    assert!(info["ok"]["days-left"].as_i64().unwrap() < -2000, "{info}");
}

#[test]
fn without_authorities_of_its_own_the_systems_count() {
    let authority = Authority::new();
    let port = tls::server(tls::config(authority.identity("a.test", 2100), &[]));
    let outcome = handshake(port, json!({ "name": "a.test" }));
    let text = failure(&outcome);
    let known =
        text.contains("UnknownIssuer") || text.contains("no file of certificate authorities");
    assert!(known, "{text}");
}

#[test]
fn verification_ends_only_where_the_grant_says_so() {
    let authority = Authority::new();
    let port = tls::server(tls::config(authority.identity("a.test", 2100), &[]));
    let tls = json!({ "name": "a.test", "verify": false });
    let calls = json!([{ "tls-handshake": { "to": format!("127.0.0.1:{port}"), "tls": tls } }]);
    let setup = prober::probing(calls, grant(&["127.0.0.1"], &[port]));
    assert_eq!(prober::outcomes(&setup)[0]["error"], "not-permitted");
}

/// Says these bytes to whoever has said something, and waits for the end.
fn says(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    port
}

/// A server hello of TLS 1.1 with an old cipher suite.
const TLS_1_1: &[u8] = &[
    22, 3, 2, 0, 42, // a record of 42 bytes
    2, 0, 0, 38, 3, 2, // server hello, version 3.2
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, // random
    17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, //
    0, 0, 0x2f, 0, // no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression
];

#[test]
fn t22_peers_that_speak_something_else_fail_the_handshake() {
    let any = || json!({ "name": "a.test", "verify": false });
    let old = handshake(says(TLS_1_1), any());
    assert!(failure(&old).contains("incompatible"), "{old}");
    let junk = handshake(
        says(b"220 mail.example ESMTP ready, and this is no TLS\r\n"),
        any(),
    );
    failure(&junk);
    // A record that announces more than any may have.
    failure(&handshake(
        says(&[22, 3, 3, 0xff, 0xff, 0, 0, 0, 0, 0]),
        any(),
    ));
    // A handshake message of 16 MiB.
    failure(&handshake(
        says(&[22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff]),
        any(),
    ));
}

#[test]
fn t22_a_handshake_that_does_not_come_times_out() {
    assert_eq!(
        handshake(says(b""), json!({ "name": "a.test", "verify": false }))["error"],
        "timed-out"
    );
    let half = handshake(
        says(&TLS_1_1[..7]),
        json!({ "name": "a.test", "verify": false }),
    );
    assert_eq!(half["error"], "timed-out");
}
