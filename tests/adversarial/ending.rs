//! How a run ended that did what no run should.

use std::fs;

use mainstay_protocol::{Fault, FaultKind, Outcome, Status};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

/// Runs a component once; it must end in a fault. The worker must then still run a good plugin.
pub(crate) fn faulty(component: &[u8]) -> (FaultKind, String) {
    fault_in(Setup::with_check(component))
}

/// As [`faulty`], for a whole set-up.
pub(crate) fn fault_in(setup: Setup) -> (FaultKind, String) {
    let setup = setup
        .plugin("good", &guest::healthy())
        .check("good", "good");
    let mut worker = setup.loaded();
    let report = worker.run("c");
    let after = worker.run("good");
    assert!(
        matches!(&after.outcome, Outcome::Report(r) if r.status == Status::Healthy),
        "{after:?}"
    );
    match report.outcome {
        Outcome::Fault(fault) => (fault.kind, fault.message),
        Outcome::Report(report) => panic!("no fault but {report:?}"),
    }
}

/// The fault in which a run of the check `c` ends.
pub(crate) fn fault(worker: &mut Worker) -> Fault {
    match worker.run("c").outcome {
        Outcome::Fault(fault) => fault,
        Outcome::Report(report) => panic!("no fault but {report:?}"),
    }
}

/// The most memory that the worker has had so far, in bytes.
pub(crate) fn peak(worker: &Worker) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

/// A check that traps in the depth of a recursion of a function with this name.
pub(crate) fn trapping_in(name: &str) -> Vec<u8> {
    let down = format!(
        r#"(func $down (@name "{name}") (param i64 i64) (result i64)
             (i64.add (call $down (local.get 1) (local.get 0)) (local.get 0)))"#
    );
    guest::check(
        &down,
        "(drop (call $down (i64.const 1) (i64.const 2))) unreachable",
    )
}
