//! Plugins that take time: their own, or what would be others'.

use std::time::{Duration, Instant};

use mainstay_protocol::{FaultKind, Outcome, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

use crate::ending::{fault, faulty};

#[test]
fn t01_an_endless_loop_ends_at_the_deadline() {
    let start = Instant::now();
    let (kind, message) = faulty(&guest::endless());
    assert_eq!(kind, FaultKind::Timeout);
    assert_eq!(message, "no answer within 100 ms");
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn t05_a_loop_of_large_copies_ends_at_the_deadline() {
    let filler = guest::check(
        "",
        "(drop (memory.grow (i32.const 1000)))
         (loop $again
           (memory.fill (i32.const 4096) (i32.const 1) (i32.const 64000000))
           (br $again))
         unreachable",
    );
    let mut worker = Setup::with_check(&filler).loaded();
    assert_eq!(fault(&mut worker).kind, FaultKind::Timeout);
}

#[test]
fn t11_a_flood_of_cheap_calls_ends_at_the_deadline() {
    let flooder = guest::check(
        r#"(import "mainstay:plugin/budget@0.1.0" "remaining-ms" (func $left (result i32)))"#,
        "(loop $again (drop (call $left)) (br $again)) unreachable",
    );
    let mut worker = Setup::with_check(&flooder).loaded();
    assert_eq!(fault(&mut worker).kind, FaultKind::Timeout);
}

#[test]
fn t37_a_sleep_ends_at_the_deadline() {
    let sleeper = guest::check(
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
             (func $after (param i64) (result i32)))
           (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#,
        "(call $block (call $after (i64.const 3600000000000))) unreachable",
    );
    let start = Instant::now();
    let (kind, _) = faulty(&sleeper);
    assert_eq!(kind, FaultKind::Timeout);
    // An order of magnitude, not a measurement: an hour was asked for.
    assert!(start.elapsed() < Duration::from_secs(50));
}

/// More of them than runs have turns: who sleeps gives its turn to others.
#[test]
fn t37_sleepers_do_not_delay_another_check() {
    let waits = [
        "(call $block (call $after (i64.const 3600000000000)))",
        "(i32.store (i32.const 4000) (call $after (i64.const 3600000000000)))
         (call $poll (i32.const 4000) (i32.const 1) (i32.const 4008))",
    ];
    waits.into_iter().for_each(a_sleeper_delays_no_other_check);
}

fn a_sleeper_delays_no_other_check(wait: &str) {
    let sleeper = guest::check(
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
             (func $after (param i64) (result i32)))
           (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
           (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))"#,
        &format!("{wait} unreachable"),
    );
    let mut setup = Setup::with_check(&guest::healthy()).plugin("sleeps", &sleeper);
    for number in 0..50 {
        setup = setup
            .check(&format!("sleeps {number}"), "sleeps")
            .timing(60_000, 30_000);
    }
    assert!(setup.load.max_concurrent_runs < 50);
    let mut worker = setup.loaded();
    let start = Instant::now();
    worker.send(&ToWorker::Start);
    for _ in 0..10 {
        let (outcome, _) = worker.verdict("c");
        assert!(matches!(outcome, Outcome::Report(_)), "{outcome:?}");
        let waited = start.elapsed();
        assert!(
            waited < Duration::from_secs(25),
            "{waited:?}: after those that sleep"
        );
    }
}

#[test]
fn t37_an_exit_ends_the_run_and_nothing_else() {
    let leaver = guest::check(
        r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#,
        "(call $exit (i32.const 1)) unreachable",
    );
    let (kind, message) = faulty(&leaver);
    assert_eq!(kind, FaultKind::Error);
    assert!(message.contains("exit"), "{message}");
}

#[test]
fn t02_a_start_function_that_never_ends_is_refused_at_load() {
    let endless = guest::check(
        "(start $endless) (func $endless (loop $again (br $again)))",
        "unreachable",
    );
    let faults = Setup::with_check(&endless).faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let message = &faults[0].message;
    assert!(message.contains("cannot be instantiated"), "{message}");
}
