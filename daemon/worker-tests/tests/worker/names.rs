//! Names in URLs: looked up by the worker, and checked after that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use mainstay_protocol::{Answer, FromWorker, Question, Refusal, Run, RunReport, ToWorker};
use mainstay_skips::skip;
use mainstay_worker_tests::harness::{Setup, Worker};
use serde_json::json;

use super::peers::{asking, fetch, http, is_untouched, said, server};

/// An address that the daemon here says is this machine's own, and one that it says is not. Nothing
/// answers at either.
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);
const STRANGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 78);

/// Runs the check `c`, and answers its questions about names meanwhile.
fn run(worker: &mut Worker, resolv_conf: &str, hosts: &str) -> RunReport {
    worker.run_answered(|question| match question {
        Question::Names => Ok(Answer::Names {
            resolv_conf: resolv_conf.to_owned(),
            hosts: hosts.to_owned(),
        }),
        Question::Own { mut addresses } => {
            addresses.retain(|address| *address == OWN);
            Ok(Answer::Own { addresses })
        }
        other => panic!("only names are needed: {other:?}"),
    })
}

/// A name server that gives each question for an IPv4 address the next of these answers, and after
/// the last the last; it knows no others. Counts what it was asked.
fn name_server(test: &str, at: Ipv4Addr, answers: Vec<Vec<Ipv4Addr>>) -> Option<Arc<AtomicUsize>> {
    let socket = match UdpSocket::bind((at, 53)) {
        Ok(socket) => socket,
        Err(error) => {
            skip(test, &format!("port 53 cannot be bound: {error}"));
            return None;
        }
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let query = &query[..length];
            let labels_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..labels_end + 5];
            let is_a = query[labels_end + 2] == 1;
            let addresses = match is_a {
                true => {
                    let number = count.fetch_add(1, Relaxed);
                    answers[number.min(answers.len() - 1)].clone()
                }
                false => Vec::new(),
            };
            let count = u8::try_from(addresses.len()).unwrap();
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
            answer.extend(question);
            for address in addresses {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                answer.extend(address.octets());
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
    Some(asked)
}

/// The same port on two addresses of this machine.
fn two_listeners() -> (u16, TcpListener, TcpListener) {
    loop {
        let first = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let Ok(second) = TcpListener::bind(("127.0.0.1", port)) {
            return (port, first, second);
        }
    }
}

fn ok(listener: TcpListener) -> std::sync::mpsc::Receiver<String> {
    server(listener, |stream| {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
        std::io::Write::write_all(stream, answer).unwrap();
    })
}

fn asking_for(url: &str, granted: &[&str]) -> Setup {
    asking(json!([fetch(url)])).grants(http(granted))
}

#[test]
fn a_name_is_looked_up_in_hosts_and_asked_for_as_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = ok(listener);
    let url = format!("http://App.test:{port}/x");
    let granted = format!("http://app.test:{port}/");
    let address = format!("http://127.0.0.1:{port}/");
    let hosts = "# a comment\n127.0.0.1 localhost app.test\n";
    let mut worker = asking_for(&url, &[&granted, &address]).loaded();
    assert_eq!(said(&run(&mut worker, "", hosts)), ["200 4 fine"]);
    let request = requests.recv().unwrap();
    assert!(
        request.contains(&format!("\r\nhost: app.test:{port}\r\n")),
        "{request}"
    );
}

/// Threat 21: a name opens neither this machine nor its metadata, whoever says it is there.
#[test]
fn t21_a_name_for_a_special_address_is_denied_unless_the_address_is_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("http://app.test:{port}/");
    for address in [
        "127.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
    ] {
        let mut worker = asking_for(&url, &[&url]).loaded();
        let report = run(&mut worker, "", &format!("{address} app.test\n"));
        assert_eq!(said(&report), ["!Error::NotPermitted"], "{address}");
        let canonical = address.parse::<IpAddr>().unwrap().to_canonical();
        let at = SocketAddr::new(canonical, port);
        let line = format!("permissions.http = {{ urls = [\"{url}\", \"http://{at}/\"] }}");
        assert_eq!(report.denied, [(format!("http.fetch {url} at {at}"), line)]);
    }
    // What cannot be a peer is no address.
    let mut worker = asking_for(&url, &[&url]).loaded();
    let said = said(&run(
        &mut worker,
        "",
        "0.0.0.0 app.test\n224.0.0.1 app.test\n",
    ));
    assert!(said[0].contains("ResolveFailed"), "{said:?}");
    assert!(is_untouched(&listener));
}

#[test]
fn a_name_that_is_not_granted_is_not_even_looked_up() {
    let address = "http://127.0.0.1:80/";
    let mut worker = asking_for("http://secret-in-a-name.test/", &[address]).loaded();
    worker.send(&ToWorker::Run(Run {
        check: "c".to_owned(),
    }));
    let report = worker.find(|frame| match frame {
        FromWorker::Ran(report) => Some(report),
        FromWorker::Ask { question, .. } => panic!("asked {question:?}"),
        _ => None,
    });
    assert_eq!(said(&report), ["!Error::NotPermitted"]);
}

/// Threat 21: nor does a name open an address that this machine has at the time, such as a virtual one.
#[test]
fn t21_a_name_for_an_own_address_is_denied_unless_the_address_is_granted() {
    let url = "http://app.test:9/";
    let address = format!("http://{OWN}:9/");
    for (hosts, granted, denied) in [
        (OWN, &[url][..], true),
        (OWN, &[url, &address], false),
        (STRANGE, &[url], false),
    ] {
        let mut worker = asking_for(url, granted).loaded();
        let report = run(&mut worker, "", &format!("{hosts} app.test\n"));
        let answer = &said(&report)[0];
        assert_eq!(
            answer == "!Error::NotPermitted",
            denied,
            "{hosts}: {answer}"
        );
        assert_eq!(report.denied.is_empty(), !denied, "{report:?}");
    }
}

/// Threat 19: the address that was checked is the one that is connected to, each time anew.
#[test]
fn t19_a_name_that_moves_to_a_forbidden_address_is_not_followed() {
    let at = Ipv4Addr::new(127, 77, 19, 1);
    let (good, bad) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST);
    let answers = vec![vec![good], vec![bad]];
    let test = "t19_a_name_that_moves_to_a_forbidden_address_is_not_followed";
    let Some(asked) = name_server(test, at, answers) else {
        return;
    };
    let (port, allowed, forbidden) = two_listeners();
    let _requests = ok(allowed);
    let url = format!("http://app.test:{port}/");
    let only = format!("http://127.0.0.2:{port}/");
    let mut worker = asking_for(&url, &[&url, &only]).loaded();
    let resolv_conf = format!("nameserver {at}\n");
    assert_eq!(said(&run(&mut worker, &resolv_conf, "")), ["200 4 fine"]);
    assert_eq!(
        said(&run(&mut worker, &resolv_conf, "")),
        ["!Error::NotPermitted"]
    );
    assert_eq!(asked.load(Relaxed), 2, "nothing is remembered between runs");
    assert!(is_untouched(&forbidden));
}

/// Threat 19: of several addresses only those that are granted count.
#[test]
fn t19_a_forbidden_address_among_others_is_left_out() {
    let at = Ipv4Addr::new(127, 77, 19, 2);
    let (good, bad) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST);
    let test = "t19_a_forbidden_address_among_others_is_left_out";
    if name_server(test, at, vec![vec![bad, good]]).is_none() {
        return;
    }
    let (port, allowed, forbidden) = two_listeners();
    let _requests = ok(allowed);
    let url = format!("http://app.test:{port}/");
    let only = format!("http://127.0.0.2:{port}/");
    let mut worker = asking_for(&url, &[&url, &only]).loaded();
    let said = said(&run(&mut worker, &format!("nameserver {at}\n"), ""));
    assert_eq!(said, ["200 4 fine"]);
    assert!(is_untouched(&forbidden));
}

#[test]
fn a_name_without_an_address_or_a_server_is_an_error_in_time() {
    let at = Ipv4Addr::new(127, 77, 19, 3);
    let test = "a_name_without_an_address_or_a_server_is_an_error_in_time";
    if name_server(test, at, vec![Vec::new()]).is_none() {
        return;
    }
    let setup = || asking_for("http://app.test/", &["http://app.test/"]);
    let none = said(&run(
        &mut setup().loaded(),
        &format!("nameserver {at}\n"),
        "",
    ));
    assert!(none[0].contains("ResolveFailed"), "{none:?}");
    // A name server that says nothing.
    let silent = Ipv4Addr::new(127, 77, 19, 4);
    let _held = UdpSocket::bind((silent, 53)).unwrap();
    let mut step = fetch("http://app.test/");
    step["timeout-ms"] = json!(300);
    let mut setup = setup();
    setup.load.checks[0].settings = json!({ "steps": [step] });
    let report = run(&mut setup.loaded(), &format!("nameserver {silent}\n"), "");
    assert_eq!(said(&report), ["!Error::TimedOut"]);
}

#[test]
fn a_daemon_that_knows_no_names_is_an_error() {
    let mut worker = asking_for("http://app.test/", &["http://app.test/"]).loaded();
    worker.send(&ToWorker::Run(Run {
        check: "c".to_owned(),
    }));
    let id = worker.find(|frame| match frame {
        FromWorker::Ask { id, .. } => Some(id),
        _ => None,
    });
    worker.send(&ToWorker::Answer {
        id,
        answer: Err(Refusal::Unavailable("gone".to_owned())),
    });
    let report = worker.find(|frame| match frame {
        FromWorker::Ran(report) => Some(report),
        _ => None,
    });
    let said = said(&report);
    assert!(said[0].contains("ResolveFailed"), "{said:?}");
}
