//! `udp-exchange`.

use std::net::UdpSocket;
use std::thread;

use mainstay_worker_tests::prober::{self, grant};
use serde_json::{Value, json};

fn exchange(port: u16, with: Value) -> Value {
    let mut call = json!({ "to": format!("127.0.0.1:{port}"), "send": "ping" });
    call.as_object_mut()
        .unwrap()
        .extend(with.as_object().unwrap().clone());
    let setup = prober::probing(
        json!([{ "udp-exchange": call }]),
        grant(&["127.0.0.1"], &[port]),
    );
    prober::outcomes(&setup)[0].clone()
}

/// Answers the first datagram with these, after one by a stranger; the port.
fn server(answers: &'static [&'static [u8]]) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut question = [0; 64];
        let (length, client) = socket.recv_from(&mut question).unwrap();
        assert_eq!(&question[..length], b"ping");
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"I am somebody else", client).unwrap();
        for answer in answers {
            socket.send_to(answer, client).unwrap();
        }
    });
    port
}

#[test]
fn the_first_datagram_of_the_peer_is_the_reply() {
    let reply = exchange(server(&[b"pong", b"more"]), json!({}));
    assert_eq!(reply["ok"], json!({ "length": 4, "start": "pong" }));
    let cut = exchange(server(&[b"pong"]), json!({ "max": 2 }));
    assert_eq!(cut["ok"], json!({ "length": 2, "start": "po" }));
    let empty = exchange(server(&[b""]), json!({}));
    assert_eq!(empty["ok"]["length"], 0);
}

#[test]
fn datagrams_without_what_is_waited_for_are_passed_over() {
    let reply = exchange(
        server(&[b"no", b"nor this", b"it is here"]),
        json!({ "until": "here" }),
    );
    assert_eq!(reply["ok"]["start"], "it is here");
}

#[test]
fn a_port_that_nobody_listens_on_is_refused_and_silence_times_out() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let silence = exchange(port, json!({ "timeout": 200 }));
    assert_eq!(silence["error"], "timed-out");
    drop(socket);
    assert_eq!(exchange(port, json!({}))["error"], "refused");
}
