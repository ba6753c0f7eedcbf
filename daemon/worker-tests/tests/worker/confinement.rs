//! What the process has given up once it has loaded, as the kernel tells it.

use std::collections::HashMap;
use std::fs;

use mainstay_protocol::{FromWorker, ToWorker};
use mainstay_skips::skip;
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

fn worker() -> Worker {
    let mut worker = Setup::with_check(&guest::healthy()).loaded();
    worker.send(&ToWorker::Start);
    // With a verdict all threads are there.
    worker.find(|frame| matches!(frame, FromWorker::Verdict { .. }).then_some(()));
    worker
}

/// The fields of `status` for every thread of a process.
fn threads(pid: u32) -> Vec<HashMap<String, String>> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|thread| {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            status
                .lines()
                .filter_map(|line| line.split_once(":\t"))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        })
        .collect()
}

#[test]
fn every_thread_is_without_capabilities_and_filtered() {
    let worker = worker();
    let threads = threads(worker.pid());
    assert!(threads.len() >= 3, "{} threads", threads.len());
    for thread in threads {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(thread[set], "0000000000000000", "{set}");
        }
        assert_eq!(thread["NoNewPrivs"], "1");
        assert_eq!(thread["Seccomp"], "2");
        assert_eq!(thread["Seccomp_filters"], "2");
    }
}

#[test]
fn a_worker_started_by_root_is_root_no_more() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let root = own.lines().any(|line| line == "Uid:\t0\t0\t0\t0");
    if !root {
        skip("a_worker_started_by_root_is_root_no_more", "needs root");
        return;
    }
    for thread in threads(worker().pid()) {
        assert_eq!(thread["Uid"], "65534\t65534\t65534\t65534");
        assert_eq!(thread["Gid"], "65534\t65534\t65534\t65534");
        assert_eq!(thread["Groups"].trim(), "");
        assert_eq!(thread["CapBnd"], "0000000000000000");
    }
}

#[test]
fn limits_and_priority_are_set() {
    let worker = worker();
    let limits = fs::read_to_string(format!("/proc/{}/limits", worker.pid())).unwrap();
    let row = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("Max core file size"), ["0", "0"]);
    assert_eq!(row("Max open files"), ["5120", "5120"]);
    // Four runs, two hooks and a load of 64 MiB and 8 more each, the same for the two places of the plugin's pool, 128
    // that wait of 4 MiB and 8 more, and 1 GiB for the rest.
    let data = (((7 + 2) * (64 + 8) + 128 * (4 + 8)) << 20) + (1_u64 << 30);
    assert_eq!(row("Max data size"), [data.to_string(), data.to_string()]);
    let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", worker.pid())).unwrap();
    let score: i32 = score.trim().parse().unwrap();
    assert!(score >= 500, "{score}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", worker.pid())).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let nice: i32 = after_name
        .split_whitespace()
        .nth(16)
        .unwrap()
        .parse()
        .unwrap();
    assert!(nice >= 10, "{nice}");
}

#[test]
fn the_worker_ends_with_its_daemon() {
    assert!(worker().abandon().success());
    assert!(
        Setup::with_check(&guest::endless())
            .loaded()
            .abandon()
            .success()
    );
    assert!(Worker::start().abandon().success());
}

#[test]
fn a_daemon_that_breaks_the_protocol_is_left() {
    let mut worker = Worker::start();
    worker.send(&ToWorker::Start);
    assert!(!worker.abandon().success());
    let mut worker = self::worker();
    worker.send(&ToWorker::Start);
    assert!(!worker.abandon().success());
}

#[test]
fn a_daemon_that_sends_garbage_is_left() {
    for garbage in [
        &b"\xff\xff\xff\xffxxxx"[..],
        b"\0\0\0\x04xxxx",
        b"\0\0\0\x02{}",
        b"\0\0\0\x09cut",
    ] {
        let mut worker = Worker::start();
        worker.send_bytes(garbage);
        assert!(!worker.abandon().success(), "before the load: {garbage:?}");
        let mut worker = self::worker();
        worker.send_bytes(garbage);
        assert!(!worker.abandon().success(), "after the load: {garbage:?}");
    }
}
