//! Threat 22: peers that do what none should. Each probe ends in time, and with bounded bytes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use mainstay_worker_tests::prober::{self, grant};
use rustix::net::sockopt::set_socket_linger;
use serde_json::{Value, json};

/// Serves whoever comes on 127.0.0.1; the port.
fn server(serve: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    port
}

/// One exchange and one conversation with it, each with half a second.
fn both(serve: fn(TcpStream)) -> Vec<Value> {
    let port = server(serve);
    let to = format!("127.0.0.1:{port}");
    let calls = json!([
        { "tcp-exchange": { "to": to, "send": "hello", "until": "never", "timeout": 500 } },
        { "tcp-open": { "to": to, "timeout": 500 } },
        { "send": "hello" },
        { "receive": { "until": "never" } },
    ]);
    let setup = prober::probing(calls, grant(&["127.0.0.1"], &[port]));
    let begin = Instant::now();
    let outcomes = prober::outcomes(&setup);
    // Its run may take 20 s.
    assert!(begin.elapsed() < Duration::from_secs(15), "{outcomes:?}");
    vec![outcomes[0].clone(), outcomes[3].clone()]
}

#[test]
fn t22_a_slow_drip_is_timed_out() {
    let outcomes = both(|mut stream| {
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(
        outcomes.iter().all(|o| o["error"] == "timed-out"),
        "{outcomes:?}"
    );
}

#[test]
fn t22_an_endless_reply_ends_at_64_kib() {
    let outcomes = both(|mut stream| while stream.write_all(&[b'.'; 16 << 10]).is_ok() {});
    assert!(
        outcomes.iter().all(|o| o["ok"]["length"] == 64 << 10),
        "{outcomes:?}"
    );
}

#[test]
fn t22_a_reset_is_a_broken_protocol() {
    let outcomes = both(|mut stream| {
        let _ = stream.read(&mut [0; 5]);
        set_socket_linger(stream.as_fd(), Some(Duration::ZERO)).unwrap();
    });
    assert!(
        outcomes.iter().all(|o| o["error"] == "protocol-error"),
        "{outcomes:?}"
    );
}

#[test]
fn t22_a_peer_that_only_listens_is_timed_out() {
    let outcomes = both(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert!(
        outcomes.iter().all(|o| o["error"] == "timed-out"),
        "{outcomes:?}"
    );
}

#[test]
fn t22_a_peer_that_is_half_gone_gives_what_it_has_said() {
    let outcomes = both(|mut stream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert!(
        outcomes.iter().all(|o| o["ok"]["start"] == "bye"),
        "{outcomes:?}"
    );
}
