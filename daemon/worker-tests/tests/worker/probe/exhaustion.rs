//! Threats 17 and 26: peers that never answer, and runs that want more than their part.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mainstay_protocol::{FromWorker, Outcome, Subject, ToWorker};
use mainstay_worker_tests::prober::{self, grant};
use rustix::net::{AddressFamily, SocketType};
use serde_json::json;

/// A port where connections are neither accepted nor refused: its queue is full.
struct Blackhole {
    address: SocketAddr,
    _listener: std::os::fd::OwnedFd,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    fn new() -> Self {
        let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        rustix::net::bind(&listener, &any).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = rustix::net::getsockname(&listener)
            .unwrap()
            .try_into()
            .unwrap();
        let mut queue = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
            queue.push(stream);
            assert!(queue.len() < 16, "it takes them all");
        }
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }
}

#[test]
fn t17_a_peer_that_never_answers_is_timed_out_in_time() {
    let hole = Blackhole::new();
    let to = hole.address.to_string();
    let calls = json!([
        { "tcp-connect": { "to": to, "timeout": 200 } },
        { "tcp-exchange": { "to": to, "timeout": 200 } },
        { "tls-handshake": { "to": to, "timeout": 200, "tls": { "name": "a.test", "verify": false } } },
        { "tcp-open": { "to": to, "timeout": 200 } },
    ]);
    let mut granted = grant(&["127.0.0.1"], &[hole.address.port()]);
    granted.unverified_tls = true;
    let begin = Instant::now();
    let outcomes = prober::outcomes(&prober::probing(calls, granted));
    assert!(
        outcomes.iter().all(|o| o["error"] == "timed-out"),
        "{outcomes:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn t17_fifty_of_them_do_not_delay_the_next_check() {
    let hole = Blackhole::new();
    let port = hole.address.port();
    let call = json!({ "calls": [{ "tcp-connect": { "to": hole.address.to_string(), "timeout": 20_000 } }] });
    let mut setup = prober::probing(json!([]), grant(&["127.0.0.1"], &[port])).timing(100, 100);
    for number in 0..50 {
        let name = format!("lost {number}");
        setup = setup
            .check(&name, "p")
            .settings(call.clone())
            .timing(30_000, 30_000);
    }
    let mut worker = setup.loaded();
    worker.send(&ToWorker::Start);
    let begin = Instant::now();
    // While they all wait, the other check runs at its interval.
    for _ in 0..10 {
        let (outcome, _) = worker.verdict("c");
        assert!(matches!(outcome, Outcome::Report(_)), "{outcome:?}");
        let waited = begin.elapsed();
        assert!(waited < Duration::from_secs(15), "{waited:?}");
    }
}

/// Accepts whatever comes, and keeps it; the port.
fn keeper() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let kept: Vec<_> = listener.incoming().collect();
        drop(kept);
    });
    port
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

#[test]
fn t26_a_run_has_sixteen_connections_and_leaves_none_behind() {
    let port = keeper();
    let open = json!({ "tcp-open": { "to": format!("127.0.0.1:{port}") } });
    let setup = prober::probing(json!([open]), grant(&["127.0.0.1"], &[port]));
    let mut many = setup.clone();
    many.load.checks[0].settings["times"] = json!(20);
    let mut worker = many.loaded();
    let before = descriptors(worker.pid());
    let outcomes = prober::parsed(&worker.run("c"));
    let opened = outcomes.iter().filter(|o| o["ok"].is_number()).count();
    let refused = outcomes.iter().filter(|o| o["error"] == "too-many").count();
    assert_eq!((opened, refused), (16, 4), "{outcomes:?}");
    for _ in 0..20 {
        worker.run("c");
    }
    assert_eq!(descriptors(worker.pid()), before);
}

#[test]
fn t26_runs_that_hold_all_connections_that_they_may_leave_some_to_others() {
    let port = keeper();
    let to = format!("127.0.0.1:{port}");
    let mut holding = vec![json!({ "tcp-open": { "to": to } }); 16];
    holding.push(json!({ "receive": {} }));
    let connecting = json!([{ "tcp-connect": { "to": to } }]);
    let mut setup = prober::probing(connecting, grant(&["127.0.0.1"], &[port])).timing(200, 200);
    let holder = prober::probing(holding.into(), grant(&["127.0.0.1"], &[port]));
    setup = setup
        .plugin("q", &prober::component())
        .grants(holder.load.plugins[0].grants.clone());
    for number in 0..12 {
        setup = setup
            .check(&format!("holder {number}"), "q")
            .settings(holder.load.checks[0].settings.clone())
            .timing(250, 250);
    }
    let mut worker = setup.loaded();
    worker.send(&ToWorker::Start);
    let of_c = Subject::Check("c".to_owned());
    for _ in 0..8 {
        let said = worker.find(|frame| match frame {
            FromWorker::Log {
                subject, message, ..
            } if subject == of_c => Some(message),
            _ => None,
        });
        assert!(said.contains("ok"), "{said}");
    }
}

#[test]
fn t26_a_run_that_has_received_a_mebibyte_gets_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while std::io::Write::write_all(&mut stream, &[b'.'; 16 << 10]).is_ok() {}
    });
    let mut calls = vec![json!({ "tcp-open": { "to": format!("127.0.0.1:{port}") } })];
    calls.extend(vec![json!({ "receive": { "until": "never" } }); 20]);
    let setup = prober::probing(calls.into(), grant(&["127.0.0.1"], &[port]));
    let outcomes = prober::outcomes(&setup);
    let received = outcomes
        .iter()
        .filter(|o| o["ok"]["length"] == 64 << 10)
        .count();
    assert_eq!(received, 16, "{outcomes:?}");
    assert_eq!(outcomes.last().unwrap()["error"], "too-many");
}
