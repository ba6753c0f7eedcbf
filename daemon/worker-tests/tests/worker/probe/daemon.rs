//! What a run has the daemon do: sockets of a chosen source or mark, and echoes.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread;

use mainstay_protocol::{
    Answer, EchoRequest, FromWorker, Origin, ProbeGrant, Question, Refusal, Run, ToWorker,
    Transport,
};
use mainstay_worker_tests::harness::{Setup, Worker};
use mainstay_worker_tests::prober::{self, grant};
use serde_json::{Value, json};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn granted(port: u16) -> ProbeGrant {
    ProbeGrant {
        sources: vec![HERE],
        fwmarks: vec![7],
        icmp: true,
        ..grant(&["127.0.0.1"], &[port])
    }
}

/// Begins the run, and waits for its first question.
fn asked(setup: &Setup) -> (Worker, u64, Question) {
    let mut worker = setup.loaded();
    let check = "c".to_owned();
    worker.send(&ToWorker::Run(Run { check }));
    let (id, question) = worker.find(|frame| match frame {
        FromWorker::Ask {
            id,
            plugin,
            question,
        } => {
            assert_eq!(plugin, "p");
            Some((id, question))
        }
        FromWorker::Ran(report) => panic!("nothing was asked: {report:?}"),
        _ => None,
    });
    (worker, id, question)
}

/// What came of the calls after the answer.
fn outcomes(mut worker: Worker) -> Vec<Value> {
    let report = worker.find(|frame| match frame {
        FromWorker::Ran(report) => Some(report),
        _ => None,
    });
    prober::parsed(&report)
}

#[test]
fn a_probe_from_a_source_goes_over_the_daemons_socket() {
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"hello").unwrap();
    });
    let call = json!({ "to": to.to_string(), "source": "127.0.0.1", "fwmark": 7 });
    let setup = prober::probing(json!([{ "tcp-exchange": call }]), granted(to.port()));
    let (mut worker, id, question) = asked(&setup);
    let Question::Socket(request) = question else {
        panic!("{question:?}");
    };
    assert_eq!((request.transport, request.to), (Transport::Tcp, to));
    let origin = Origin {
        source: Some(HERE),
        fwmark: Some(7),
    };
    assert_eq!(request.origin, origin);
    let socket = TcpStream::connect(to).unwrap();
    socket.set_nonblocking(true).unwrap();
    let answer = Ok(Answer::Socket);
    worker.send_with(&ToWorker::Answer { id, answer }, socket);
    assert_eq!(outcomes(worker)[0]["ok"]["start"], "hello");
}

#[test]
fn a_datagram_from_a_source_goes_over_the_daemons_socket() {
    let server = UdpSocket::bind((HERE, 0)).unwrap();
    let to = server.local_addr().unwrap();
    let call = json!({ "to": to.to_string(), "source": "127.0.0.1", "send": "ping" });
    let setup = prober::probing(json!([{ "udp-exchange": call }]), granted(to.port()));
    let (mut worker, id, question) = asked(&setup);
    let Question::Socket(request) = question else {
        panic!("{question:?}");
    };
    assert_eq!(request.transport, Transport::Udp);
    let socket = UdpSocket::bind((HERE, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_nonblocking(true).unwrap();
    server.connect(socket.local_addr().unwrap()).unwrap();
    let answer = Ok(Answer::Socket);
    worker.send_with(&ToWorker::Answer { id, answer }, OwnedFd::from(socket));
    let mut question = [0; 16];
    let length = server.recv(&mut question).unwrap();
    server.send(&question[..length]).unwrap();
    assert_eq!(outcomes(worker)[0]["ok"]["start"], "ping");
}

#[test]
fn an_echo_is_the_daemons_and_what_it_answers_is_told() {
    let setup = prober::probing(
        json!([{ "icmp-echo": { "to": "::ffff:127.0.0.1", "timeout": 700 } }]),
        granted(1),
    );
    let answers = [
        (Ok(Answer::Echo { round_trip_us: 5 }), json!({ "ok": 5 })),
        (Err(Refusal::TimedOut), json!({ "error": "timed-out" })),
        (Err(Refusal::Busy), json!({ "error": "too-many" })),
        (
            Err(Refusal::NotPermitted),
            json!({ "error": "not-permitted" }),
        ),
        (Err(Refusal::System(113)), json!({ "error": "unreachable" })),
        (
            Err(Refusal::Invalid("no".to_owned())),
            json!({ "error": "invalid-option", "text": "no" }),
        ),
    ];
    for (answer, outcome) in answers {
        let (mut worker, id, question) = asked(&setup);
        let expected = Question::Echo(EchoRequest {
            to: HERE,
            origin: Origin::default(),
            timeout_ms: 700,
        });
        assert_eq!(question, expected);
        worker.send(&ToWorker::Answer { id, answer });
        assert_eq!(outcomes(worker)[0], outcome);
    }
}

#[test]
fn a_daemon_that_does_not_answer_delays_nobody_longer_than_the_probe() {
    let call = json!({ "to": "127.0.0.1", "timeout": 200 });
    let setup = prober::probing(json!([{ "icmp-echo": call }]), granted(1));
    let (mut worker, id, _) = asked(&setup);
    let ran = worker.find(|frame| match frame {
        FromWorker::Ran(report) => Some(report),
        _ => None,
    });
    assert_eq!(prober::parsed(&ran)[0]["error"], "timed-out");
    // The answer comes after all, and once more: nobody is there to have it.
    let answer = Ok(Answer::Echo { round_trip_us: 1 });
    worker.send(&ToWorker::Answer { id, answer });
    let answer = Ok(Answer::Socket);
    let socket = UdpSocket::bind((HERE, 0)).unwrap();
    worker.send_with(&ToWorker::Answer { id, answer }, OwnedFd::from(socket));
    assert_eq!(worker.abandon().code(), Some(0));
}
