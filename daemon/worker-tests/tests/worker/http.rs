//! Requests of plugins: to whom they are granted, and what a server can do to the worker.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use mainstay_protocol::{Grants, Outcome, Secret, SecretBytes, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;
use serde_json::{Value, json};

use super::peers::{answering, asking, fetch, http, is_untouched, listener, said, server, urls};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

#[test]
fn a_granted_url_is_fetched_with_what_the_host_adds() {
    let (at, requests) = answering(OK);
    let url = format!("http://{at}/healthz?full=%2F");
    let post = json!({
        "ask": "fetch", "of": url, "method": "POST", "send": "hello", "header": ["X-A", "b"],
    });
    let report = asking(json!([fetch(&url), post]))
        .grants(http(&[&format!("http://{at}/healthz")]))
        .run();
    assert_eq!(said(&report), ["200 4 fine", "200 4 fine"]);
    assert_eq!(
        requests.recv().unwrap(),
        format!("GET /healthz?full=%2F HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n")
    );
    assert_eq!(
        requests.recv().unwrap(),
        format!(
            "POST /healthz?full=%2F HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\nx-a: b\r\n\
             content-length: 5\r\n\r\nhello"
        )
    );
    assert_eq!(report.host_calls, [("http.fetch".to_owned(), 2)]);
    assert_eq!(report.denied, []);
}

/// Threat 28: nor does it show where only part of the URL, or the line for a larger grant, is told.
#[test]
fn t28_a_secret_in_a_url_that_is_denied_is_blotted_out() {
    let value = "hunter2-and-more";
    let url = format!("http://{value}.test/of/{value}?token={value}");
    let steps = json!([fetch(&url), { "ask": "wasi-fetch", "of": &url }]);
    let mut setup = asking(steps).grants(http(&["http://10.0.0.1/"]));
    setup.load.plugins[0].secrets = vec![Secret {
        name: "token".to_owned(),
        value: SecretBytes::new(value.into()),
    }];
    let report = setup.run();
    let urls = |permission, before| {
        let blotted = "http://***.test/of/***";
        let line = format!("permissions.{permission} = {{ urls = [{before}\"{blotted}\"] }}");
        (format!("{permission}.fetch {blotted}"), line)
    };
    assert_eq!(
        report.denied,
        [
            urls("http", "\"http://10.0.0.1/\", "),
            urls("wasi-http", "")
        ]
    );
    assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
}

#[test]
fn what_is_not_granted_is_not_asked_for_and_the_line_that_grants_is_told() {
    let (at, listener) = listener();
    let (port, other) = (at.port(), at.port() ^ 1);
    let url = format!("http://{at}/healthz?token=secret");
    let denied = |grants: Grants| {
        let report = asking(json!([fetch(&url)])).grants(grants).run();
        assert_eq!(said(&report), ["!Error::NotPermitted"]);
        report.denied
    };
    assert_eq!(
        denied(Grants::default()),
        [(
            format!("http.fetch http://{at}/healthz at {at}"),
            format!("permissions.http = {{ urls = [\"http://{at}/healthz\"] }}")
        )]
    );
    for granted in [
        format!("https://{at}/healthz"),
        format!("http://127.0.0.1:{other}/healthz"),
        format!("http://127.0.0.2:{port}/healthz"),
        format!("http://{at}/health"),
        format!("http://{at}/healthz/deeper"),
        format!("http://localhost:{port}/healthz"),
        // Threat 21: this machine is not meant by a grant for all.
        format!("http://0.0.0.0/0:{port}/"),
    ] {
        assert_eq!(denied(http(&[&granted])).len(), 1, "{granted}");
    }
    let wasi = Grants {
        wasi_http: urls(&[&format!("http://{at}/")]),
        ..Grants::default()
    };
    assert_eq!(denied(wasi).len(), 1, "one permission is not the other");
    assert!(is_untouched(&listener));
}

#[test]
fn the_target_of_a_run_is_asked_without_a_grant_whatever_host_is_named() {
    let (at, requests) = answering(OK);
    let run = |steps: Value, target: Option<SocketAddr>| {
        let mut setup = asking(steps);
        setup.load.checks[0].target = target;
        said(&setup.run())
    };
    let to_target = json!([{
        "ask": "fetch", "of": "http://shop.example/x", "connect-to": at.to_string(),
    }]);
    assert_eq!(run(to_target.clone(), Some(at)), ["200 4 fine"]);
    let request = requests.recv().unwrap();
    assert!(request.contains("\r\nhost: shop.example\r\n"), "{request}");
    let plain = json!([fetch(&format!("http://{at}/x"))]);
    assert_eq!(run(plain, Some(at)), ["200 4 fine"]);
    assert_eq!(run(to_target.clone(), None), ["!Error::NotPermitted"]);
    let beside = SocketAddr::new(at.ip(), at.port() ^ 1);
    assert_eq!(run(to_target, Some(beside)), ["!Error::NotPermitted"]);
}

#[test]
fn connect_to_is_granted_by_its_own_address() {
    let (at, _requests) = answering(OK);
    let (granted, listener) = listener();
    let steps = json!([{
        "ask": "fetch", "of": format!("http://{granted}/"), "connect-to": at.to_string(),
    }]);
    let report = asking(steps.clone())
        .grants(http(&[&format!("http://{granted}/")]))
        .run();
    assert_eq!(said(&report), ["!Error::NotPermitted"]);
    assert!(is_untouched(&listener));
    let report = asking(steps)
        .grants(http(&[&format!("http://{at}/")]))
        .run();
    assert_eq!(said(&report), ["200 4 fine"]);
}

#[test]
fn a_run_makes_four_requests_and_no_more() {
    let (at, _requests) = answering(OK);
    let url = format!("http://{at}/");
    let mut four = fetch(&url);
    four["times"] = json!(4);
    let report = asking(json!([four, fetch(&url)]))
        .grants(http(&[&url]))
        .run();
    assert_eq!(said(&report), ["200 4 fine", "!Error::TooMany"]);
}

#[test]
fn a_body_ends_at_what_is_asked_and_at_what_is_granted() {
    let (at, listener) = listener();
    let _requests = server(listener, |stream| {
        let body = "x".repeat(100_000);
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes());
    });
    let url = format!("http://{at}/");
    let mut little = fetch(&url);
    little["max-body"] = json!(10);
    let mut nothing = fetch(&url);
    nothing["max-body"] = json!(0);
    let run = |most: Option<u32>| {
        let mut grants = http(&[&url]);
        grants.http.max_body = most.unwrap_or(grants.http.max_body);
        let steps = json!([little, nothing, fetch(&url)]);
        said(&asking(steps).grants(grants).run())
    };
    let kept = "x".repeat(40);
    let said = run(None);
    assert_eq!(said[0], format!("200 10 cut {}", "x".repeat(10)));
    assert_eq!(said[1].trim(), "200 0 cut");
    assert_eq!(said[2], format!("200 65536 cut {kept}"));
    assert_eq!(run(Some(300_000))[2], format!("200 100000 {kept}"));
    assert_eq!(run(Some(5))[0], "200 5 cut xxxxx");
}

/// Threat 20: whoever reads an address differently reads it wrong.
#[test]
fn t20_odd_spellings_are_no_urls_and_reach_nothing() {
    let (at, listener) = listener();
    let port = at.port();
    let hosts = [
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "127.0.0.1.",
        "user@127.0.0.1",
        "0.0.0.0",
        "[::]",
        "[::1%lo]",
        "%31%32%37.0.0.1",
        "127.0.0.1#",
        "127.0.0.1\\",
        " 127.0.0.1",
    ];
    for host in hosts {
        let url = format!("http://{host}:{port}/");
        let grants = http(&[&format!("http://127.0.0.1:{port}/")]);
        let report = asking(json!([fetch(&url)])).grants(grants).run();
        let said = said(&report);
        assert!(said[0].contains("InvalidRequest"), "{url}: {said:?}");
    }
    let mapped = format!("http://[::ffff:127.0.0.1]:{port}/");
    let report = asking(json!([fetch(&mapped)]))
        .grants(http(&[&format!("http://[::]/0:{port}/")]))
        .run();
    assert_eq!(said(&report), ["!Error::NotPermitted"]);
    assert!(is_untouched(&listener));
}

#[test]
fn no_header_or_method_makes_two_requests_of_one() {
    let (at, listener) = listener();
    let url = format!("http://{at}/");
    let headers = [
        ("host", "other"),
        ("Content-Length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("x", "a\r\n\r\nGET / HTTP/1.1"),
        ("x\r\ny", "a"),
        ("x y", "a"),
    ];
    for header in headers {
        let mut step = fetch(&url);
        step["header"] = json!(header);
        let report = asking(json!([step])).grants(http(&[&url])).run();
        assert!(said(&report)[0].contains("InvalidRequest"), "{header:?}");
    }
    for method in ["GET / HTTP/1.1\r\n\r\nGET", "G T", "", "CONNECT"] {
        let mut step = fetch(&url);
        step["method"] = json!(method);
        let report = asking(json!([step])).grants(http(&[&url])).run();
        assert!(said(&report)[0].contains("InvalidRequest"), "{method:?}");
    }
    assert!(is_untouched(&listener));
}

/// Writes until the other side has had enough.
fn flood(stream: &mut TcpStream, head: &str, piece: &str) {
    let mut sent = stream.write_all(head.as_bytes());
    let mut written = 0;
    while sent.is_ok() && written < 64 << 20 {
        sent = stream.write_all(piece.as_bytes());
        written += piece.len();
    }
}

/// Waits until the other side closes.
fn hold(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 16]);
}

/// Threat 22: what a server sends ends somewhere, and hurts only the run that asked.
#[test]
fn t22_hostile_servers_cost_one_bounded_run() {
    let field = format!("a: {}\r\n", "b".repeat(8000));
    let extension = format!("1;{}\r\nx\r\n", "e".repeat(4000));
    type Answer = Box<dyn Fn(&mut TcpStream) + Send>;
    let servers: Vec<(&str, Answer, &str)> = vec![
        (
            "slow drip",
            Box::new(|stream| {
                stream
                    .set_read_timeout(Some(Duration::from_millis(20)))
                    .unwrap();
                while stream.write_all(b"H").is_ok() {
                    match stream.read(&mut [0]) {
                        Err(e)
                            if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                        _ => return,
                    }
                }
            }),
            "TimedOut|ProtocolError",
        ),
        ("half open", Box::new(hold), "TimedOut"),
        (
            "a body that stops",
            Box::new(|stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
                hold(stream);
            }),
            "TimedOut",
        ),
        (
            "a body that ends too early",
            Box::new(|stream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
            }),
            "ProtocolError",
        ),
        (
            "endless body",
            Box::new(|stream| flood(stream, "HTTP/1.1 200 OK\r\n\r\n", &"x".repeat(1 << 16))),
            "200 65536 cut",
        ),
        (
            "large headers",
            Box::new(move |stream| flood(stream, "HTTP/1.1 200 OK\r\n", &field)),
            "ProtocolError",
        ),
        (
            "many headers",
            Box::new(|stream| flood(stream, "HTTP/1.1 200 OK\r\n", &"a: b\r\n".repeat(1000))),
            "ProtocolError",
        ),
        (
            "endless interim answers",
            Box::new(|stream| flood(stream, "", &"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000))),
            "TimedOut|ProtocolError",
        ),
        (
            "chunks with long extensions",
            Box::new(move |stream| {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                flood(stream, head, &extension);
            }),
            "ProtocolError",
        ),
        (
            "a chunk longer than anything",
            Box::new(|stream| {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                flood(
                    stream,
                    &format!("{head}FFFFFFFFFFFFFFF\r\n"),
                    &"x".repeat(1 << 16),
                );
            }),
            "200 65536 cut",
        ),
        (
            "two lengths",
            Box::new(|stream| {
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 8\r\n\r\nfinefine",
                );
            }),
            "ProtocolError",
        ),
        (
            "junk",
            Box::new(|stream| {
                let _ = stream.write_all(&[0x16, 3, 1, 0xff, 0, 0xfe, b'\n', 0x80].repeat(100));
            }),
            "ProtocolError",
        ),
        ("nothing", Box::new(|_| {}), "ProtocolError"),
        (
            "redirect to itself",
            Box::new(|stream| {
                let _ = stream.write_all(
                    b"HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n",
                );
            }),
            "302 /again0",
        ),
    ];
    let mut setup = asking(json!([]));
    let mut expected = Vec::new();
    let mut requests = Vec::new();
    for (index, (name, answer, becomes)) in servers.into_iter().enumerate() {
        let (at, listener) = listener();
        requests.push(server(listener, answer));
        let mut step = fetch(&format!("http://{at}/"));
        step["timeout-ms"] = json!(1000);
        let check = format!("c{index}");
        setup = setup
            .check(&check, "p")
            .timing(20_000, 20_000)
            .settings(json!({ "steps": [step] }));
        setup.load.plugins[0]
            .grants
            .http
            .urls
            .push(format!("http://{at}/").parse().unwrap());
        expected.push((check, name, becomes));
    }
    let mut worker = setup.loaded();
    for (check, name, becomes) in expected {
        let said = said(&worker.run(&check));
        let fits = becomes.split('|').any(|becomes| said[0].contains(becomes));
        assert!(fits, "{name}: {said:?}");
    }
    let peak = resident_peak(worker.pid());
    assert!(peak < 100 << 10, "{peak} KiB");
    let asked: usize = requests
        .iter()
        .map(|requests| requests.try_iter().count())
        .sum();
    assert!(asked <= requests.len(), "something was asked for twice");
}

/// In KiB.
fn resident_peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
fn a_server_that_is_not_there_or_resets_is_an_error_of_its_own() {
    let (at, listener) = listener();
    drop(listener);
    let url = format!("http://{at}/");
    let report = asking(json!([fetch(&url)])).grants(http(&[&url])).run();
    assert!(said(&report)[0].contains("ConnectFailed"), "{report:?}");
    // Closed with bytes unread, which resets it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let resetting = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
    });
    let report = asking(json!([fetch(&url)])).grants(http(&[&url])).run();
    assert!(said(&report)[0].contains("ProtocolError"), "{report:?}");
    resetting.join().unwrap();
}

/// More of them than runs have turns: who waits for a server gives its turn to others.
#[test]
fn t17_fifty_requests_do_not_either() {
    let (at, _listener) = listener();
    let url = format!("http://{at}/");
    let mut setup = Setup::with_check(&guest::healthy())
        .plugin("asks", &guest::asker())
        .grants(http(&[&url]));
    for number in 0..50 {
        setup = setup
            .check(&format!("asks {number}"), "asks")
            .settings(json!({ "steps": [fetch(&url)] }))
            .timing(60_000, 30_000);
    }
    assert!(setup.load.max_concurrent_runs < 50);
    let mut worker = setup.loaded();
    let begin = Instant::now();
    worker.send(&ToWorker::Start);
    for _ in 0..10 {
        let (outcome, _) = worker.verdict("c");
        assert!(matches!(outcome, Outcome::Report(_)), "{outcome:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(25));
}
