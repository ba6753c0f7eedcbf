//! What the worker takes for code, and what it gives for a component.

use std::fs::File;
use std::io::Write;

use mainstay_protocol::{FromWorker, Sealed, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

fn asked_for_code() -> (Worker, ToWorker) {
    let setup = Setup::with_check(&guest::healthy());
    let mut worker = Worker::start();
    worker.send_load(&setup.load);
    let code = ToWorker::Code {
        code: "p".to_owned(),
    };
    (worker, code)
}

#[test]
fn code_that_somebody_could_still_change_is_refused() {
    let code = Worker::compile(&guest::healthy()).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&code.to_vec().unwrap()).unwrap();
    let (mut worker, message) = asked_for_code();
    worker.send_with(&message, &file);
    assert!(!worker.abandon().success());
}

#[test]
fn what_is_no_code_is_refused() {
    for bytes in [
        &b""[..],
        b"no code",
        b"\x7fELF\x02\x01\x01",
        &guest::healthy(),
    ] {
        let (mut worker, message) = asked_for_code();
        worker.send_with(&message, Sealed::of("test", bytes).unwrap());
        assert!(!worker.abandon().success(), "{} bytes", bytes.len());
    }
}

#[test]
fn code_without_its_descriptor_is_refused() {
    let (mut worker, message) = asked_for_code();
    worker.send(&message);
    assert!(!worker.abandon().success());
}

#[test]
fn code_for_nobody_is_refused() {
    let code = Worker::compile(&guest::healthy()).unwrap();
    let (mut worker, _) = asked_for_code();
    let message = ToWorker::Code {
        code: "other".to_owned(),
    };
    worker.send_with(&message, code);
    assert!(!worker.abandon().success());
}

#[test]
fn only_sealed_bytes_are_compiled() {
    let request = ToWorker::Compile {
        plugin: "p".to_owned(),
    };
    let mut worker = Worker::start();
    worker.send_with(&request, File::open("/dev/zero").unwrap());
    assert!(!worker.abandon().success());
    let mut worker = Worker::start();
    worker.send(&request);
    assert!(!worker.abandon().success());
}

#[test]
fn the_same_component_gives_the_same_code() {
    let [one, two] = [(); 2].map(|()| Worker::compile(&guest::healthy()).unwrap());
    assert_eq!(one.to_vec().unwrap(), two.to_vec().unwrap());
}

#[test]
fn a_compiler_ends_when_it_has_answered() {
    let mut worker = Worker::start();
    let request = ToWorker::Compile {
        plugin: "p".to_owned(),
    };
    worker.send_with(&request, Sealed::of("test", &guest::healthy()).unwrap());
    let answer = worker.frame();
    let good = matches!(answer, FromWorker::Compiled { fault: None, .. });
    assert!(good, "{answer:?}");
    assert!(worker.abandon().success());
}
