//! Servers for plugins to ask, and what a plugin that asks has to say.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use mainstay_protocol::{Grants, HttpGrant, Outcome, RunReport};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;
use serde_json::{Value, json};

/// Answers requests, one after the other. The requests come out at the other end.
pub(crate) fn server(
    listener: TcpListener,
    answer: impl Fn(&mut TcpStream) + Send + 'static,
) -> Receiver<String> {
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let request = request(&mut stream);
            answer(&mut stream);
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    requests
}

/// A server on the loopback address that answers with this.
pub(crate) fn answering(answer: &'static str) -> (SocketAddr, Receiver<String>) {
    let (address, listener) = listener();
    let requests = server(listener, move |stream| {
        // Who has read enough may have gone.
        let _ = stream.write_all(answer.as_bytes());
    });
    (address, requests)
}

pub(crate) fn listener() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener)
}

/// Reads head and body.
fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        bytes.push(byte[0]);
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).is_ok() {
        text += &String::from_utf8_lossy(&body);
    }
    text
}

/// Whether nobody has connected.
pub(crate) fn is_untouched(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    matches!(listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// A check that takes these steps.
pub(crate) fn asking(steps: Value) -> Setup {
    Setup::with_check(&guest::asker())
        .timing(20_000, 20_000)
        .settings(json!({ "steps": steps }))
}

/// One step.
pub(crate) fn fetch(url: &str) -> Value {
    json!({ "ask": "fetch", "of": url })
}

/// A grant of what URLs begin with.
pub(crate) fn urls(prefixes: &[&str]) -> HttpGrant {
    HttpGrant {
        urls: prefixes.iter().map(|url| url.parse().unwrap()).collect(),
        ..HttpGrant::default()
    }
}

/// As the permission `http`.
pub(crate) fn http(prefixes: &[&str]) -> Grants {
    Grants {
        http: urls(prefixes),
        ..Grants::default()
    }
}

/// What the check has to say, one text for each step.
pub(crate) fn said(report: &RunReport) -> Vec<String> {
    match &report.outcome {
        Outcome::Report(said) => said.message.split("; ").map(str::to_owned).collect(),
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}
