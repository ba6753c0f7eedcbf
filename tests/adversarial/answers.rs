//! What plugins answer, and what they are called.

use mainstay_protocol::{FaultKind, Outcome, Status};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

use crate::ending::{fault, faulty, peak, trapping_in};

#[test]
fn t08_megabytes_in_one_call_are_a_limit() {
    let shouter = guest::check(
        r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))"#,
        "(drop (memory.grow (i32.const 64)))
         (call $write (i32.const 2) (i32.const 0) (i32.const 4000000) (i32.const 0) (i32.const 0))
         unreachable",
    );
    assert_eq!(faulty(&shouter).0, FaultKind::Limit);
    let answerer = guest::check(
        "",
        "(drop (memory.grow (i32.const 1000)))
         (call $report (i32.const 0) (i32.const 0) (i32.const 60000000))",
    );
    assert_eq!(faulty(&answerer).0, FaultKind::Limit);
}

#[test]
fn t08_a_long_answer_is_cut() {
    let talker = guest::check(
        "",
        r"(memory.fill (i32.const 4096) (i32.const 0x0a) (i32.const 10000))
          (call $report (i32.const 1) (i32.const 4096) (i32.const 10000))",
    );
    let Outcome::Report(report) = Setup::with_check(&talker).run().outcome else {
        panic!("no report");
    };
    assert_eq!(report.status, Status::Degraded);
    assert_eq!(report.message, r"\n".repeat(256));
}

#[test]
fn t08_an_answer_that_is_not_text_is_a_trap() {
    let (kind, _) = faulty(&guest::check(
        r#"(data (i32.const 0) "\ff\fe")"#,
        "(call $report (i32.const 0) (i32.const 0) (i32.const 2))",
    ));
    assert_eq!(kind, FaultKind::Trap);
    let (kind, _) = faulty(&guest::check(
        "",
        "(call $report (i32.const 99) (i32.const 0) (i32.const 0))",
    ));
    assert_eq!(kind, FaultKind::Trap);
    let (kind, _) = faulty(&guest::check("", "(i32.const -16)"));
    assert_eq!(kind, FaultKind::Trap);
}

#[test]
fn t08_a_name_of_megabytes_makes_no_trap_of_gigabytes() {
    const NAME: usize = 4 << 20;
    let mut worker = Setup::with_check(&trapping_in(&"n".repeat(NAME))).loaded();
    let before = peak(&worker);
    for _ in 0..5 {
        let fault = fault(&mut worker);
        assert_eq!(fault.kind, FaultKind::Trap);
        assert!(fault.message.contains("!nnnn"), "{fault:?}");
    }
    // Each of the three functions that a trap names has a copy, and that in the code is read.
    let grown = peak(&worker) - before;
    assert!(grown < 16 * NAME as u64, "{grown} bytes");
}

#[test]
fn t08_a_short_name_is_not_written_out_as_a_long_one() {
    // A name by the rules of C++, with types that have the one before as all their arguments:
    // written out, each is 16 times as long as the one before.
    let before = ["S_", "S1_", "S3_", "S5_", "S7_", "S9_", "SB_", "SD_", "SF_"];
    let levels: String = ('A'..)
        .zip(before)
        .map(|(name, before)| format!("1{name}I{}E", before.repeat(16)))
        .collect();
    let mut worker = Setup::with_check(&trapping_in(&format!("_Z1f1a{levels}"))).loaded();
    let before = peak(&worker);
    assert_eq!(fault(&mut worker).kind, FaultKind::Trap);
    let grown = peak(&worker) - before;
    assert!(grown < 16 << 20, "{grown} bytes");
}
