//! Threats 20 and 21: addresses in disguise, and addresses that a wide grant does not mean.

use std::net::TcpListener;

use mainstay_protocol::ProbeGrant;
use mainstay_worker_tests::prober::{self, grant};
use serde_json::{Value, json};

/// Each function that takes an address, with this one.
fn everywhere(to: &str, port: u16) -> Value {
    let endpoint = if to.contains(':') {
        format!("[{to}]:{port}")
    } else {
        format!("{to}:{port}")
    };
    json!([
        { "tcp-connect": { "to": endpoint } },
        { "tcp-exchange": { "to": endpoint } },
        { "udp-exchange": { "to": endpoint } },
        { "tls-handshake": { "to": endpoint, "tls": { "name": "a.test" } } },
        { "tcp-open": { "to": endpoint } },
        { "icmp-echo": { "to": to } },
    ])
}

fn errors(to: &str, port: u16, grant: ProbeGrant) -> Vec<String> {
    let outcomes = prober::outcomes(&prober::probing(everywhere(to, port), grant));
    let errors = outcomes.iter().map(|outcome| outcome["error"].to_string());
    errors.collect()
}

#[test]
fn t20_only_plain_literals_are_addresses_to_any_function() {
    let open = || ProbeGrant {
        icmp: true,
        ..grant(&["0.0.0.0/0", "::/0", "127.0.0.1", "::1"], &[80])
    };
    for to in [
        "localhost",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "127.0.0.1 ",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "fe80::1%lo",
        "224.0.0.18",
        "255.255.255.255",
        "ff02::1",
        "user@127.0.0.1",
        "127.0.0.1/8",
        "1.2.3.04",
        "",
    ] {
        let errors = errors(to, 80, open());
        assert_eq!(errors, ["\"invalid-address\""; 6], "{to}");
    }
    let mut without_port = errors("127.0.0.1", 0, open());
    without_port.truncate(5);
    assert_eq!(without_port, ["\"invalid-address\""; 5]);
}

#[test]
fn t21_a_wide_grant_opens_neither_this_machine_nor_its_metadata() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let wide = || ProbeGrant {
        icmp: true,
        ..grant(&["0.0.0.0/0", "::/0"], &[port])
    };
    for to in [
        "127.0.0.1",
        "127.9.9.9",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
    ] {
        let errors = errors(to, port, wide());
        assert_eq!(errors, ["\"not-permitted\""; 6], "{to}");
    }
    assert!(listener.accept().is_err(), "something connected");
}

#[test]
fn what_would_grant_a_denied_call_is_said() {
    let calls = json!([
        { "icmp-echo": { "to": "10.0.0.1" } },
        { "tcp-connect": { "to": "10.0.0.1:80", "source": "10.0.0.9", "fwmark": 7 } },
        { "tls-handshake": { "to": "10.0.0.1:80", "tls": { "name": "a.test", "verify": false } } },
        { "udp-exchange": { "to": "10.0.1.1:53" } },
    ]);
    let report = prober::probing(calls, grant(&["10.0.0.0/24"], &[80])).run();
    let outcomes = prober::parsed(&report);
    assert!(
        outcomes.iter().all(|o| o["error"] == "not-permitted"),
        "{outcomes:?}"
    );
    let lines: Vec<&str> = report
        .denied
        .iter()
        .map(|(_, line)| line.as_str())
        .collect();
    let expected = [
        r#"permissions.probe = { addresses = ["10.0.0.0/24"], ports = [80], icmp = true }"#,
        r#"permissions.probe = { addresses = ["10.0.0.0/24"], ports = [80], sources = ["10.0.0.9"], fwmarks = [7] }"#,
        r#"permissions.probe = { addresses = ["10.0.0.0/24"], ports = [80], unverified-tls = true }"#,
        r#"permissions.probe = { addresses = ["10.0.0.0/24", "10.0.1.1"], ports = [80, 53] }"#,
    ];
    for line in expected {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
}

#[test]
fn options_that_make_no_sense_are_no_denial() {
    let calls = json!([
        { "tcp-connect": { "to": "10.0.0.1:80", "source": "web1" } },
        { "tcp-connect": { "to": "10.0.0.1:80", "source": "2001:db8::1" } },
        { "tls-handshake": { "to": "10.0.0.1:80", "tls": { "name": "no name" } } },
        { "tcp-exchange": { "to": "10.0.0.1:80", "send": "0123456789abcdef", "repeat": 4097 } },
    ]);
    let outcomes = prober::outcomes(&prober::probing(calls, grant(&["10.0.0.0/24"], &[80])));
    assert!(
        outcomes.iter().all(|o| o["error"] == "invalid-option"),
        "{outcomes:?}"
    );
}

#[test]
fn the_target_may_be_probed_by_every_function_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    // Not there for TLS and UDP; it is the permission that counts.
    drop(listener);
    let with = |to: &str| {
        let mut setup = prober::setup(json!([
            { "tcp-connect": { "to": to } },
            { "tcp-exchange": { "to": to } },
            { "udp-exchange": { "to": to } },
            { "tls-handshake": { "to": to, "tls": { "name": "a.test" } } },
            { "tcp-open": { "to": to } },
        ]));
        setup.load.checks[0].target = Some(target);
        prober::outcomes(&setup)
    };
    for outcome in with("target") {
        // A machine without authorities is told so before it connects.
        let error = &outcome["error"];
        assert!(error == "refused" || error == "tls-failed", "{outcome}");
    }
    for other in [
        format!("127.0.0.1:{}", target.port() ^ 1),
        format!("127.0.0.2:{}", target.port()),
    ] {
        let outcomes = with(&other);
        assert!(
            outcomes.iter().all(|o| o["error"] == "not-permitted"),
            "{outcomes:?}"
        );
    }
    let calls = json!([{ "icmp-echo": { "to": "127.0.0.2" } }]);
    let mut setup = prober::setup(calls);
    setup.load.checks[0].target = Some(target);
    assert_eq!(prober::outcomes(&setup)[0]["error"], "not-permitted");
}
