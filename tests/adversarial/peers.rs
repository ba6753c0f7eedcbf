//! Peers that are slow, silent or worse, and runs that are cut off while they wait for them.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mainstay_protocol::{FaultKind, FromWorker, Grants, Outcome, ProbeGrant, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

use crate::ending::peak;

/// Listens, and leaves the rest to the kernel: whoever connects is never answered.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn granted(port: u16) -> Grants {
    Grants {
        probe: ProbeGrant {
            addresses: vec!["127.0.0.1".to_owned()],
            ports: vec![port],
            ..ProbeGrant::default()
        },
        ..Grants::default()
    }
}

/// A check that sends `ping` and waits until it has 60 bytes or sees `END`. Its message has as many
/// bytes as the reply, or 100 and the number of the error.
fn exchanger(port: u16, timeout_ms: u32) -> Vec<u8> {
    guest::check(
        r#"(import "mainstay:plugin/probe@0.1.0" "tcp-exchange"
             (func $exchange (param i32 i32)))
           (data (i32.const 0) "127.0.0.1pingEND")"#,
        &format!(
            // The parameters as one record, since they are too many; what is left 0 is absent.
            "(i32.store offset=4 (i32.const 700) (i32.const 9))
             (i32.store offset=8 (i32.const 700) (i32.const {port}))
             (i32.store offset=12 (i32.const 700) (i32.const 9))
             (i32.store offset=16 (i32.const 700) (i32.const 4))
             (i32.store offset=20 (i32.const 700) (i32.const 60))
             (i32.store offset=24 (i32.const 700) (i32.const 1))
             (i32.store offset=28 (i32.const 700) (i32.const 13))
             (i32.store offset=32 (i32.const 700) (i32.const 3))
             (i32.store offset=36 (i32.const 700) (i32.const {timeout_ms}))
             (call $exchange (i32.const 700) (i32.const 900))
             (memory.fill (i32.const 4096) (i32.const 0x78) (i32.const 200))
             (call $report (i32.const 0) (i32.const 4096)
               (if (result i32) (i32.load8_u (i32.const 900))
                 (then (i32.add (i32.const 100) (i32.load8_u (i32.const 904))))
                 (else (i32.load (i32.const 908)))))"
        ),
    )
}

const TIMED_OUT: usize = 105;
const PROTOCOL_ERROR: usize = 107;

fn answer(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Report(report) => report.message.len(),
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}

/// A check with more time than its probe, which then tells.
fn exchange(port: u16, timeout_ms: u32) -> usize {
    let setup = Setup::with_check(&exchanger(port, timeout_ms))
        .timing(60_000, 30_000)
        .grants(granted(port));
    answer(&setup.run().outcome)
}

#[test]
fn t17_a_silent_peer_is_given_up_in_time() {
    let (_listener, port) = silent();
    let begin = Instant::now();
    assert_eq!(exchange(port, 200), TIMED_OUT);
    assert!(begin.elapsed() < Duration::from_secs(25), "{begin:?}");
}

/// Waiting takes no thread: fifty checks that wait for a peer leave another its verdicts.
#[test]
fn t17_fifty_silent_peers_do_not_delay_another_check() {
    let (_listener, port) = silent();
    let mut setup = Setup::empty()
        .plugin("waits", &exchanger(port, 30_000))
        .grants(granted(port))
        .plugin("good", &guest::healthy());
    for number in 0..50 {
        setup = setup
            .check(&format!("waits-{number}"), "waits")
            .timing(60_000, 30_000);
    }
    setup.load.max_concurrent_runs = 60;
    let mut worker = setup.check("good", "good").loaded();
    let begin = Instant::now();
    worker.send(&ToWorker::Start);
    for _ in 0..10 {
        let (outcome, _) = worker.verdict("good");
        assert!(matches!(outcome, Outcome::Report(_)), "{outcome:?}");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(25),
        "after those that wait"
    );
}

fn descriptors(worker: &Worker) -> usize {
    fs::read_dir(format!("/proc/{}/fd", worker.pid()))
        .unwrap()
        .count()
}

/// A thousand runs that are cut off anywhere between their start and a peer's answer: each is a
/// timeout, and nothing of it is left.
#[test]
fn t18_a_thousand_runs_cut_off_anywhere_leave_nothing() {
    const RUNS: usize = 1000;
    let (listener, port) = silent();
    // The kernel's queue of a listener is short. Whoever is accepted is not answered either.
    thread::spawn(move || {
        let mut waiting = VecDeque::new();
        for stream in listener.incoming() {
            waiting.push_front(stream);
            waiting.truncate(100);
        }
    });
    let mut setup = Setup::empty()
        .plugin("p", &exchanger(port, 30_000))
        .grants(granted(port));
    for (number, timeout_ms) in [1, 2, 3, 5, 7, 11, 13, 17].into_iter().enumerate() {
        setup = setup
            .check(&format!("c-{number}"), "p")
            .timing(20, timeout_ms);
    }
    setup = setup.plugin("good", &guest::healthy()).check("c", "good");
    let mut worker = setup.loaded();
    let good = worker.run("c");
    assert!(matches!(good.outcome, Outcome::Report(_)), "{good:?}");
    let (before, memory) = (descriptors(&worker), peak(&worker));
    worker.send(&ToWorker::Start);
    let [mut ended, mut cut_off] = [0, 0];
    worker.find(|frame| {
        if let FromWorker::Verdict { check, outcome, .. } = frame
            && check != "c"
        {
            match outcome {
                Outcome::Fault(fault) => {
                    assert_eq!(fault.kind, FaultKind::Timeout, "{fault:?}");
                    cut_off += 1;
                }
                Outcome::Report(_) => {}
            }
            ended += 1;
        }
        (ended == RUNS).then_some(())
    });
    assert!(cut_off > RUNS / 2, "{cut_off} of {ended} were cut off");
    let after = worker.run("c");
    assert!(matches!(after.outcome, Outcome::Report(_)), "{after:?}");
    // Eight may be under way.
    let open = descriptors(&worker);
    assert!(
        open <= before + 8,
        "{open} descriptors, and {before} before"
    );
    let grown = peak(&worker) - memory;
    assert!(grown < 32 << 20, "{grown} bytes");
}

/// What a peer does with a connection on which it was sent `ping`.
type Behaviour = fn(TcpStream);

/// Waits for the other side to go.
fn wait(mut stream: TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
}

/// Sends half an answer to what it was sent.
fn half(mut stream: &TcpStream) {
    stream.read_exact(&mut [0; 4]).unwrap();
    stream.write_all(b"+PO").unwrap();
}

/// Each of these does what no good peer does; what is read of it is bounded, in bytes and in time.
#[test]
fn t22_eight_bad_peers_get_no_more_than_their_time() {
    const MOST: usize = 60;
    let peers: [(&str, Behaviour, &[usize]); 8] = [
        ("closes at once", drop, &[0, PROTOCOL_ERROR]),
        ("says nothing", wait, &[TIMED_OUT]),
        (
            "drips",
            |mut stream| {
                while stream.write_all(b".").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            },
            &[TIMED_OUT, MOST],
        ),
        (
            "never ends",
            |mut stream| while stream.write_all(&[b'x'; 1 << 16]).is_ok() {},
            &[MOST],
        ),
        (
            "sends zeros",
            |mut stream| while stream.write_all(&[0; 1 << 16]).is_ok() {},
            &[MOST],
        ),
        ("sends half and closes", |stream| half(&stream), &[3]),
        (
            "sends half and waits",
            |stream| {
                half(&stream);
                wait(stream);
            },
            &[TIMED_OUT],
        ),
        (
            "resets",
            |stream| {
                // What it has not read makes its end a reset.
                stream.set_nonblocking(true).unwrap();
                drop(stream);
            },
            &[0, PROTOCOL_ERROR],
        ),
    ];
    for (name, behaviour, allowed) in peers {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            behaviour(stream);
        });
        let got = exchange(port, 1000);
        assert!(allowed.contains(&got), "the peer that {name}: {got}");
    }
}

/// WASI's sockets: as many as there are to be had, which takes no descriptor from anybody.
#[test]
fn t26_sockets_without_end_take_no_descriptor_from_others() {
    let hoarder = guest::check(
        r#"(import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket"
             (func $create (param i32 i32)))"#,
        "(loop $again (call $create (i32.const 0) (i32.const 900)) (br $again)) unreachable",
    );
    let (_listener, port) = silent();
    let setup = Setup::empty()
        .plugin("hoarder", &hoarder)
        .check("hoarder", "hoarder")
        .timing(2_000, 1_500)
        .plugin("p", &exchanger(port, 50))
        .grants(granted(port))
        .check("c", "p")
        .timing(60_000, 1_000);
    let mut worker = setup.loaded();
    let before = descriptors(&worker);
    worker.send(&ToWorker::Start);
    for _ in 0..20 {
        // It still gets the descriptor that it needs.
        assert_eq!(answer(&worker.run("c").outcome), TIMED_OUT);
    }
    worker.verdict("hoarder");
    let open = descriptors(&worker);
    assert!(
        open < before + 16,
        "{open} descriptors, and {before} before"
    );
}
