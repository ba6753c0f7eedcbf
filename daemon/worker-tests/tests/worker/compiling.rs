//! What a worker that compiles has given up, and when it ends.

use std::fs;
use std::time::{Duration, Instant};

use mainstay_protocol::{Sealed, ToWorker};
use mainstay_skips::skip;
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Worker;

/// Longest wait for something that takes milliseconds, and much less than compiling takes here.
const SOON: Duration = Duration::from_secs(20);

/// A component that takes the compiler more than a minute: many small blocks that assign many
/// variables, each of which any other may have come from.
fn slow() -> Vec<u8> {
    const BLOCKS: usize = 4000;
    const LOCALS: usize = 100;
    let mut text = String::from("(component (core module (func (local");
    text.push_str(&" i32".repeat(LOCALS));
    text.push_str(")\n");
    text.push_str(&"block ".repeat(BLOCKS));
    let mut seed = 1_u32;
    let mut any = || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (seed >> 16) as usize % LOCALS
    };
    for block in 0..BLOCKS {
        let [from, plus, to] = [any(), any(), any()];
        let out = any().min(BLOCKS - 1 - block);
        text.push_str(&format!(
            "local.get {from} local.get {plus} i32.add local.set {to} local.get {from} br_if {out} end\n"
        ));
    }
    text.push_str(")))");
    guest::text(&text)
}

/// A worker that compiles and is confined for it.
fn compiling() -> Worker {
    let mut worker = Worker::start();
    let plugin = "p".to_owned();
    let component = Sealed::of("component", &slow()).unwrap();
    worker.send_with(&ToWorker::Compile { plugin }, component);
    let begin = Instant::now();
    // The filter of system calls comes last.
    while !status(&worker).contains("Seccomp:\t2") {
        assert!(begin.elapsed() < SOON, "{}", status(&worker));
        std::thread::yield_now();
    }
    worker
}

fn status(worker: &Worker) -> String {
    read(worker, "status")
}

fn read(worker: &Worker, file: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{file}", worker.pid())).unwrap()
}

#[test]
fn memory_time_and_priority_are_limited() {
    let worker = compiling();
    let limits = read(&worker, "limits");
    let limit = |name: &str| {
        let row = limits.lines().find_map(|line| line.strip_prefix(name));
        row.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max address space"), (1 << 30).to_string());
    assert_eq!(limit("Max cpu time"), "120");
    assert_eq!(limit("Max core file size"), "0");
    let stat = read(&worker, "stat");
    let after_name = stat.rsplit_once(')').unwrap().1;
    assert_eq!(after_name.split_whitespace().nth(16), Some("19"), "{stat}");
}

#[test]
fn it_has_no_capability_and_is_not_root() {
    let status = status(&compiling());
    for line in [
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    if fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("Uid:\t0\t0")
    {
        assert!(!status.contains("Uid:\t0"), "{status}");
    } else {
        skip("it_has_no_capability_and_is_not_root", "needs root");
    }
}

#[test]
fn it_ends_when_nobody_waits_for_it() {
    let begin = Instant::now();
    assert!(compiling().abandon().success());
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}
