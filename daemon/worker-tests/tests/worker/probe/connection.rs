//! Conversations of several turns.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use mainstay_worker_tests::harness::Setup;
use mainstay_worker_tests::prober::{self, grant};
use mainstay_worker_tests::tls::{self, Authority};
use serde_json::{Value, json};

/// Serves one connection on 127.0.0.1; the port.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    port
}

/// Opens a connection to the port, with these turns after it.
fn setup(port: u16, turns: &[Value]) -> Setup {
    let mut calls = vec![json!({ "tcp-open": { "to": format!("127.0.0.1:{port}") } })];
    calls.extend_from_slice(turns);
    prober::probing(calls.into(), grant(&["127.0.0.1"], &[port]))
}

/// What came of the turns.
fn converse(port: u16, turns: &[Value]) -> Vec<Value> {
    let mut outcomes = prober::outcomes(&setup(port, turns));
    assert_eq!(outcomes.remove(0), json!({ "ok": 1 }));
    outcomes
}

fn line() -> Value {
    json!({ "receive": { "until": "\r\n" } })
}

fn started(outcome: &Value) -> &str {
    outcome["ok"]["start"]
        .as_str()
        .unwrap_or_else(|| panic!("{outcome}"))
}

#[test]
fn a_mail_server_goes_on_in_tls() {
    let authority = Authority::new();
    let config = tls::config(authority.identity("mail.test", 2100), &[]);
    let port = server(move |stream| {
        let mut plain = BufReader::new(stream);
        let mut line = String::new();
        plain.get_mut().write_all(b"220 mail.test\r\n").unwrap();
        plain.read_line(&mut line).unwrap();
        // In two pieces, with the end of the first line in the second.
        plain.get_mut().write_all(b"250-mail.test\r").unwrap();
        plain.get_mut().write_all(b"\n250 STARTTLS\r\n").unwrap();
        plain.read_line(&mut line).unwrap();
        plain.get_mut().write_all(b"220 go ahead\r\n").unwrap();
        let mut session = tls::accept(plain.into_inner(), config);
        let mut question = [0; 64];
        let length = session.read(&mut question).unwrap();
        line += std::str::from_utf8(&question[..length]).unwrap();
        session
            .write_all(line.replace("\r\n", ",").as_bytes())
            .unwrap();
        session.conn.send_close_notify();
        session.flush().unwrap();
    });
    let options = json!({ "name": "mail.test", "authorities": authority.pem() });
    let turns = [
        line(),
        json!({ "send": "EHLO probe\r\n" }),
        line(),
        line(),
        json!({ "send": "STARTTLS\r\n" }),
        line(),
        json!({ "start-tls": options }),
        json!({ "send": "EHLO again\r\n" }),
        json!({ "receive": { "until": "again," } }),
        json!({ "receive": {} }),
    ];
    let outcomes = converse(port, &turns);
    assert_eq!(started(&outcomes[0]), "220 mail.test\r\n");
    assert_eq!(started(&outcomes[2]), "250-mail.test\r\n");
    assert_eq!(started(&outcomes[3]), "250 STARTTLS\r\n");
    assert_eq!(started(&outcomes[5]), "220 go ahead\r\n");
    assert_eq!(
        outcomes[6]["ok"]["subject"], "CN=test server",
        "{}",
        outcomes[6]
    );
    assert_eq!(started(&outcomes[8]), "EHLO probe,STARTTLS,EHLO again,");
    assert_eq!(outcomes[9]["ok"]["length"], 0, "{}", outcomes[9]);
}

#[test]
fn what_was_said_before_tls_is_not_taken_for_what_was_said_in_it() {
    let port = server(|mut stream| {
        stream
            .write_all(b"220 go ahead\r\n250 put in by somebody\r\n")
            .unwrap();
        let _ = stream.read(&mut [0]);
    });
    let authority = Authority::new();
    let tls = json!({ "start-tls": { "name": "mail.test", "authorities": authority.pem() } });
    let turns = [line(), tls.clone(), line(), tls];
    let outcomes = converse(port, &turns);
    assert_eq!(started(&outcomes[0]), "220 go ahead\r\n");
    let refused = &outcomes[1];
    assert_eq!(refused["error"], "protocol-error", "{refused}");
    assert!(
        refused["text"].as_str().unwrap().contains("unread"),
        "{refused}"
    );
    assert_eq!(started(&outcomes[2]), "250 put in by somebody\r\n");
}

#[test]
fn a_connection_goes_on_in_tls_once() {
    let authority = Authority::new();
    let config = tls::config(authority.identity("a.test", 2100), &[]);
    let port = server(move |stream| {
        let mut session = tls::accept(stream, config);
        session.write_all(b"hello\r\n").unwrap();
        let _ = session.read(&mut [0]);
    });
    let tls = json!({ "start-tls": { "name": "a.test", "authorities": authority.pem() } });
    let outcomes = converse(port, &[tls.clone(), tls, line()]);
    assert!(outcomes[0]["ok"].is_object(), "{}", outcomes[0]);
    assert_eq!(outcomes[1]["error"], "invalid-option");
    assert_eq!(started(&outcomes[2]), "hello\r\n");
}

#[test]
fn after_a_failed_handshake_the_connection_is_lost() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let config = tls::config(theirs.identity("a.test", 2100), &[]);
    let port = server(move |stream| {
        let _ = tls::accept(stream, config).write_all(b"x");
    });
    let options = json!({ "name": "a.test", "authorities": ours.pem() });
    let turns = [
        json!({ "start-tls": options }),
        json!({ "send": "password" }),
        json!({ "receive": {} }),
    ];
    let outcomes = converse(port, &turns);
    assert_eq!(outcomes[0]["error"], "tls-failed");
    assert_eq!(outcomes[1]["error"], "protocol-error");
    assert_eq!(outcomes[2]["ok"]["length"], 0);
}

#[test]
fn a_turn_ends_at_its_bound_and_when_the_peer_has_gone() {
    let port = server(|mut stream| stream.write_all(b"0123456789").unwrap());
    let receive = |with: Value| json!({ "receive": with });
    let turns = [
        receive(json!({ "max": 4, "until": "x" })),
        receive(json!({ "max": 2 })),
        receive(json!({ "until": "x" })),
        receive(json!({ "until": "x" })),
        receive(json!({ "max": 0 })),
    ];
    let outcomes = converse(port, &turns);
    assert_eq!(started(&outcomes[0]), "0123");
    assert_eq!(started(&outcomes[1]), "45");
    assert_eq!(started(&outcomes[2]), "6789");
    assert_eq!(outcomes[3]["ok"]["length"], 0);
    assert_eq!(outcomes[4]["error"], "invalid-option");
}

#[test]
fn the_end_of_a_run_closes_what_it_has_open() {
    let (closed, was_closed) = mpsc::channel();
    let port = server(move |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
        closed.send(()).unwrap();
    });
    // The run is cut off while it waits for the peer.
    let setup = setup(port, &[json!({ "receive": {} })]).timing(300, 300);
    let mut worker = setup.loaded();
    worker.run("c");
    was_closed
        .recv_timeout(std::time::Duration::from_secs(30))
        .unwrap();
}
