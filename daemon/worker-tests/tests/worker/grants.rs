//! What plugins may see and reach: nothing, unless it is granted.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread;

use mainstay_protocol::{Grants, Outcome, ProbeGrant, ProcessGrant, RunReport, Status};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

/// A check that counts the processes of a selector (`kind`: its case in the contract) and reports
/// the count, or 50 plus the error, in the message's length.
fn counter(kind: u32, value: &str) -> Vec<u8> {
    guest::check(
        &format!(
            r#"(import "mainstay:plugin/process@0.1.0" "count"
                 (func $count (param i32 i32 i32 i32)))
               (data (i32.const 0) "{value}")"#
        ),
        &format!(
            "(call $count (i32.const {kind}) (i32.const 0) (i32.const {length}) (i32.const 900))
             {ANSWER}",
            length = value.len()
        ),
    )
}

/// Reports what stands at 900: `ok` with a number at 904, or `err` with a case at 904.
const ANSWER: &str = "
  (call $report (i32.const 0) (i32.const 4096)
    (if (result i32) (i32.load8_u (i32.const 900))
      (then (i32.add (i32.const 50) (i32.load8_u (i32.const 904))))
      (else (i32.load (i32.const 904)))))";

/// `process.error` and `probe.error` of the contract, as the checks here report them.
const NOT_PERMITTED: usize = 50;
const INVALID_QUERY: usize = 51;
const UNAVAILABLE: usize = 52;
const INVALID_ADDRESS: usize = 51;
const REFUSED: usize = 53;
const TIMED_OUT: usize = 55;
const TOO_MANY: usize = 58;

fn length(report: &RunReport) -> usize {
    match &report.outcome {
        Outcome::Report(report) => {
            assert_eq!(report.status, Status::Healthy);
            // Zero bytes are escaped as \u{0}.
            report.message.matches(r"\u{0}").count()
        }
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}

fn count(kind: u32, value: &str, process: ProcessGrant) -> RunReport {
    Setup::with_check(&counter(kind, value))
        .timing(10_000, 10_000)
        .grants(Grants {
            process,
            ..Grants::default()
        })
        .run()
}

fn own_name() -> String {
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    comm.trim().to_owned()
}

#[test]
fn processes_are_hidden_without_a_grant_and_the_line_that_grants_is_told() {
    let report = count(0, "nginx", ProcessGrant::default());
    assert_eq!(length(&report), NOT_PERMITTED);
    assert_eq!(
        report.denied,
        [(
            "process.count name nginx".to_owned(),
            r#"permissions.process = { names = ["nginx"] }"#.to_owned()
        )]
    );
    assert_eq!(report.host_calls, [("process.count".to_owned(), 1)]);
    let other = ProcessGrant {
        names: vec!["sshd".into()],
        commands: vec!["nginx".into()],
        ..ProcessGrant::default()
    };
    assert_eq!(length(&count(0, "nginx", other)), NOT_PERMITTED);
}

#[test]
fn granted_processes_are_counted_by_name_and_command() {
    let name = own_name();
    let granted = ProcessGrant {
        names: vec![name.clone(), "no-such-process".into()],
        ..ProcessGrant::default()
    };
    let report = count(0, &name, granted.clone());
    assert!((1..NOT_PERMITTED).contains(&length(&report)), "{report:?}");
    assert_eq!(report.denied, []);
    assert_eq!(length(&count(0, "no-such-process", granted)), 0);

    let executable = std::env::args().next().unwrap();
    let command = executable.rsplit('/').next().unwrap();
    let granted = ProcessGrant {
        commands: vec![command.to_owned()],
        ..ProcessGrant::default()
    };
    assert!(length(&count(1, command, granted)) >= 1);
}

#[test]
fn the_target_of_a_run_needs_no_grant_and_opens_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let probe = connector("127.0.0.1", target.port(), 1);
    let with = |target: Option<SocketAddr>| {
        let mut setup = Setup::with_check(&probe).timing(10_000, 10_000);
        setup.load.checks[0].target = target;
        length(&setup.run())
    };
    assert_eq!(with(Some(target)), 0);
    assert_eq!(with(None), NOT_PERMITTED);
    let other_port = SocketAddr::new(target.ip(), target.port() ^ 1);
    assert_eq!(with(Some(other_port)), NOT_PERMITTED);
    let other_address = SocketAddr::new([127, 0, 0, 2].into(), target.port());
    assert_eq!(with(Some(other_address)), NOT_PERMITTED);
}

#[test]
fn an_empty_selector_is_no_query() {
    let granted = ProcessGrant {
        names: vec![String::new()],
        ..ProcessGrant::default()
    };
    assert_eq!(length(&count(0, "", granted)), INVALID_QUERY);
}

#[test]
fn a_pid_file_counts_its_process_while_it_lives() {
    let directory = tempfile::tempdir().unwrap();
    // The worker reads it as an unprivileged user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).unwrap();
    let file = directory.path().join("service.pid");
    let text = file.to_str().unwrap().to_owned();
    let granted = ProcessGrant {
        pid_files: vec![file.clone()],
        ..ProcessGrant::default()
    };
    assert_eq!(length(&count(2, &text, granted.clone())), 0, "no file");
    std::fs::write(&file, format!("{}\n", std::process::id())).unwrap();
    assert_eq!(length(&count(2, &text, granted.clone())), 1, "alive");
    std::fs::write(&file, "4194304\n").unwrap();
    assert_eq!(length(&count(2, &text, granted.clone())), 0, "dead");
    std::fs::write(&file, "not a pid\n").unwrap();
    assert_eq!(length(&count(2, &text, granted)), UNAVAILABLE);
    let other = ProcessGrant {
        pid_files: vec![PathBuf::from("/run/other.pid")],
        ..ProcessGrant::default()
    };
    assert_eq!(length(&count(2, &text, other)), NOT_PERMITTED);
}

/// A check that connects to an address, `times` times, and reports the last result.
fn connector(address: &str, port: u16, times: u32) -> Vec<u8> {
    let length = address.len();
    guest::check(
        &format!(
            r#"(import "mainstay:plugin/probe@0.1.0" "tcp-connect"
                 (func $connect (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
               (data (i32.const 0) "{address}")"#
        ),
        &format!(
            "(local $n i32)
             (loop $again
               (call $connect (i32.const 0) (i32.const {length}) (i32.const {port})
                 (i32.const 5000)
                 (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                 (i32.const 0) (i32.const 0)
                 (i32.const 896))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const {times}))))
             (i32.store8 (i32.const 900) (i32.load8_u (i32.const 896)))
             {}",
            // An error stands where the number would, eight bytes on; a round trip becomes 0.
            "(i32.store (i32.const 904)
               (select (i32.load8_u (i32.const 904)) (i32.const 0) (i32.load8_u (i32.const 896))))
             "
            .to_owned()
                + ANSWER
        ),
    )
}

fn connect(address: &str, port: u16, times: u32, grant: ProbeGrant) -> RunReport {
    Setup::with_check(&connector(address, port, times))
        .timing(10_000, 10_000)
        .grants(Grants {
            probe: grant,
            ..Grants::default()
        })
        .run()
}

fn grant(addresses: &[&str], ports: &[u16]) -> ProbeGrant {
    ProbeGrant {
        addresses: addresses.iter().map(|&a| a.to_owned()).collect(),
        ports: ports.to_vec(),
        ..ProbeGrant::default()
    }
}

#[test]
fn a_granted_port_that_listens_is_reached_and_one_that_does_not_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let report = connect("127.0.0.1", port, 1, grant(&["127.0.0.1"], &[port]));
    assert_eq!(length(&report), 0, "{report:?}");
    drop(listener);
    let report = connect("127.0.0.1", port, 1, grant(&["127.0.0.1"], &[port]));
    assert_eq!(length(&report), REFUSED);
}

#[test]
fn what_is_not_granted_is_not_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        panic!("not IPv4");
    };
    let port = address.port();
    for (target, granted) in [
        ("127.0.0.1", ProbeGrant::default()),
        ("127.0.0.1", grant(&["127.0.0.1"], &[])),
        ("127.0.0.1", grant(&["127.0.0.1"], &[port ^ 1])),
        ("127.0.0.1", grant(&["0.0.0.0/0"], &[port])),
        ("::ffff:127.0.0.1", grant(&["::/0"], &[port])),
    ] {
        let report = connect(target, port, 1, granted);
        assert_eq!(length(&report), NOT_PERMITTED, "{report:?}");
        assert!(report.denied[0].1.contains(&port.to_string()), "{report:?}");
    }
    for target in ["localhost", "127.1", "0.0.0.0", "127.0.0.1 "] {
        let report = connect(target, port, 1, grant(&["127.0.0.1", "0.0.0.0/0"], &[port]));
        assert_eq!(length(&report), INVALID_ADDRESS, "{target} is no address");
    }
    assert!(listener.accept().is_err(), "something connected");
}

#[test]
fn a_run_makes_sixteen_probes_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let granted = || grant(&["127.0.0.1"], &[port]);
    assert_eq!(length(&connect("127.0.0.1", port, 16, granted())), 0);
    assert_eq!(length(&connect("127.0.0.1", port, 17, granted())), TOO_MANY);
}

/// A check that sends `ping` and reports the length of the reply.
fn exchanger(port: u16, most: u32, until: &str, timeout_ms: u32) -> Vec<u8> {
    guest::check(
        &format!(
            r#"(import "mainstay:plugin/probe@0.1.0" "tcp-exchange"
                 (func $exchange (param i32 i32)))
               (data (i32.const 0) "127.0.0.1ping{until}")"#
        ),
        &format!(
            // The parameters as one record, since they are too many; what is left 0 is absent.
            "(i32.store offset=4 (i32.const 700) (i32.const 9))
             (i32.store offset=8 (i32.const 700) (i32.const {port}))
             (i32.store offset=12 (i32.const 700) (i32.const 9))
             (i32.store offset=16 (i32.const 700) (i32.const 4))
             (i32.store offset=20 (i32.const 700) (i32.const {most}))
             (i32.store offset=24 (i32.const 700) (i32.const {waits}))
             (i32.store offset=28 (i32.const 700) (i32.const 13))
             (i32.store offset=32 (i32.const 700) (i32.const {length}))
             (i32.store offset=36 (i32.const 700) (i32.const {timeout_ms}))
             (call $exchange (i32.const 700) (i32.const 900))
             (if (i32.eqz (i32.load8_u (i32.const 900)))
               (then (i32.store (i32.const 904) (i32.load (i32.const 908)))))
             {ANSWER}",
            waits = u32::from(!until.is_empty()),
            length = until.len(),
        ),
    )
}

fn exchange(port: u16, most: u32, until: &str, timeout_ms: u32) -> RunReport {
    Setup::with_check(&exchanger(port, most, until, timeout_ms))
        .timing(10_000, 10_000)
        .grants(Grants {
            probe: grant(&["127.0.0.1"], &[port]),
            ..Grants::default()
        })
        .run()
}

/// Answers one connection with these pieces, and then closes it or, with `hold`, waits for the
/// other side to.
fn server(pieces: &'static [&'static [u8]], hold: bool) -> (u16, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        for piece in pieces {
            // The peer may have read enough and gone.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        if hold {
            let _ = stream.read(&mut [0]);
        }
        question.to_vec()
    });
    (port, served)
}

#[test]
fn an_exchange_ends_where_it_was_told_to() {
    let (port, served) = server(&[b"+PO", b"NG\r\nmore"], false);
    assert_eq!(length(&exchange(port, 60, "", 5000)), 11, "the peer closed");
    assert_eq!(served.join().unwrap(), b"ping");
    let (port, _served) = server(&[b"+PONG\r\nmore and more"], true);
    assert_eq!(length(&exchange(port, 5, "", 5000)), 5, "long enough");
    let (port, _served) = server(&[b"+PO", b"NG"], true);
    assert_eq!(length(&exchange(port, 60, "PONG", 5000)), 5, "seen");
}

#[test]
fn a_peer_that_stays_silent_is_timed_out() {
    let (port, _served) = server(&[b"+"], true);
    assert_eq!(length(&exchange(port, 60, "PONG", 200)), TIMED_OUT);
}

#[test]
fn files_and_sockets_of_wasi_are_there_but_closed() {
    let directories = guest::check(
        r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $list (param i32)))"#,
        "(call $list (i32.const 896))
         (call $report (i32.const 0) (i32.const 4096) (i32.load (i32.const 900)))",
    );
    assert_eq!(length(&Setup::with_check(&directories).run()), 0);
    let socket = guest::check(
        r#"(import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket"
             (func $create (param i32 i32)))"#,
        &format!(
            "(call $create (i32.const 0) (i32.const 896))
             (i32.store8 (i32.const 900) (i32.load8_u (i32.const 896)))
             (i32.store (i32.const 904) (i32.const 0))
             {ANSWER}"
        ),
    );
    // A socket may be made, but it connects nowhere; or it is refused at once.
    let answer = length(&Setup::with_check(&socket).run());
    assert!(answer == 0 || answer == NOT_PERMITTED, "{answer}");
}
