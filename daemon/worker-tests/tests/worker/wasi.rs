//! WASI's own ways to the network, by grant.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use mainstay_protocol::{Grants, HttpGrant, ProbeGrant};
use serde_json::{Value, json};

use super::peers::{answering, asking, is_untouched, listener, said, server, urls};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

fn wasi_http(grant: HttpGrant) -> Grants {
    Grants {
        wasi_http: grant,
        ..Grants::default()
    }
}

fn wasi_fetch(url: &str) -> Value {
    json!({ "ask": "wasi-fetch", "of": url })
}

#[test]
fn wasi_http_is_denied_and_counted_without_a_grant() {
    let (at, listener) = listener();
    let url = format!("http://{at}/x");
    let mut setup = asking(json!([wasi_fetch(&url)]));
    // The contract's own interface may ask the target; WASI's may not.
    setup.load.checks[0].target = Some(at);
    let report = setup.run();
    assert_eq!(said(&report), ["!ErrorCode::HttpRequestDenied"]);
    assert_eq!(
        report.denied,
        [(
            format!("wasi-http.fetch {url} at {at}"),
            format!("permissions.wasi-http = {{ urls = [\"{url}\"] }}")
        )]
    );
    assert!(is_untouched(&listener));
}

#[test]
fn wasi_http_asks_what_is_granted_within_the_limits_of_http() {
    let (at, requests) = answering(OK);
    let url = format!("http://{at}/");
    let mut post = wasi_fetch(&url);
    post["send"] = json!("hello");
    let mut large = wasi_fetch(&url);
    large["send"] = json!("x".repeat(70_000));
    let steps = json!([
        wasi_fetch(&url),
        post,
        large,
        wasi_fetch(&url),
        wasi_fetch(&url)
    ]);
    let grant = urls(&[&url]);
    let said_of =
        |steps: Value, grant: HttpGrant| said(&asking(steps).grants(wasi_http(grant)).run());
    let said = said_of(steps, grant.clone());
    assert_eq!(said[..2], ["200 4 fine", "200 4 fine"]);
    assert!(said[2].starts_with('!'), "{said:?}");
    assert_eq!(said[3], "200 4 fine");
    assert!(said[4].contains("ConnectionLimitReached"), "{said:?}");
    let get = requests.recv().unwrap();
    assert!(
        get.starts_with(&format!("GET / HTTP/1.1\r\nhost: {at}\r\n")),
        "{get}"
    );
    let post = requests.recv().unwrap();
    assert!(post.ends_with("content-length: 5\r\n\r\nhello"), "{post}");
    let less = HttpGrant {
        max_body: 3,
        ..grant
    };
    let said = said_of(json!([wasi_fetch(&url)]), less);
    assert!(said[0].contains("HttpResponseBodySize"), "{said:?}");
}

#[test]
fn wasi_http_is_bounded_by_the_time_of_its_run() {
    let (at, listener) = listener();
    let _requests = server(listener, |stream| {
        let _ = stream.read(&mut [0]);
    });
    let url = format!("http://{at}/");
    let report = asking(json!([wasi_fetch(&url)]))
        .timing(300, 300)
        .grants(wasi_http(urls(&[&url])))
        .run();
    let mainstay_protocol::Outcome::Fault(fault) = report.outcome else {
        // The request gives up at the same instant as the run, and may be first.
        let said = said(&report);
        assert!(said[0].contains("Timeout"), "{said:?}");
        return;
    };
    assert_eq!(fault.kind, mainstay_protocol::FaultKind::Timeout);
}

fn sockets(addresses: &[&str], ports: &[u16]) -> Grants {
    Grants {
        wasi_sockets: ProbeGrant {
            addresses: addresses.iter().map(|&a| a.to_owned()).collect(),
            ports: ports.to_vec(),
            ..ProbeGrant::default()
        },
        ..Grants::default()
    }
}

#[test]
fn wasi_sockets_connect_where_they_are_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"pong").unwrap();
    });
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = datagrams.local_addr().unwrap();
    thread::spawn(move || {
        let (_, from) = datagrams.recv_from(&mut [0; 16]).unwrap();
        datagrams.send_to(b"datagram", from).unwrap();
    });
    let steps = json!([
        { "ask": "tcp", "of": at.to_string(), "send": "ping" },
        { "ask": "udp", "of": to.to_string(), "send": "ping" },
    ]);
    let report = asking(steps)
        .grants(sockets(&["127.0.0.1"], &[at.port(), to.port()]))
        .run();
    assert_eq!(said(&report), ["pong", "datagram"]);
    assert_eq!(report.denied, []);
}

#[test]
fn wasi_sockets_reach_nothing_else_and_look_no_names_up() {
    let (at, listener) = listener();
    let port = at.port();
    let tcp = json!({ "ask": "tcp", "of": at.to_string() });
    let udp = json!({ "ask": "udp", "of": at.to_string() });
    for grants in [
        Grants::default(),
        sockets(&["127.0.0.2"], &[port]),
        sockets(&["127.0.0.1"], &[port ^ 1]),
        // Threat 21.
        sockets(&["0.0.0.0/0"], &[port]),
    ] {
        let report = asking(json!([tcp, udp])).grants(grants.clone()).run();
        for answer in said(&report) {
            assert!(answer.contains("PermissionDenied"), "{grants:?}: {answer}");
        }
        assert!(!report.denied.is_empty(), "{grants:?}");
    }
    let report = asking(json!([tcp]))
        .grants(sockets(&["127.0.0.2"], &[port]))
        .run();
    assert_eq!(
        report.denied,
        [(
            format!("wasi-sockets.connect {at}"),
            format!(
                "permissions.wasi-sockets = {{ addresses = [\"127.0.0.2\", \"127.0.0.1\"], ports = [{port}] }}"
            )
        )]
    );
    assert!(is_untouched(&listener));
}

/// Threat 26: sixteen sockets of its own for a run.
#[test]
fn t26_a_run_makes_sixteen_sockets_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || while listener.accept().is_ok() {});
    let step = |times: u32| json!({ "ask": "tcp", "of": at.to_string(), "times": times });
    let report = asking(json!([step(16), step(1)]))
        .grants(sockets(&["127.0.0.1"], &[at.port()]))
        .run();
    let said = said(&report);
    assert_eq!(said[0], "");
    assert!(said[1].starts_with('!'), "{said:?}");
}
