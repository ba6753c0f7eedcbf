//! Plugins that misbehave. Each gets a fault of the right kind, and the worker lives on.

use std::time::{Duration, Instant};

use mainstay_protocol::{FaultKind, FromWorker, Limits, LogLevel, Outcome, Status, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

/// Runs a component once; it must end in a fault. The worker must then still run a good plugin.
fn fault(component: &[u8]) -> (FaultKind, String) {
    fault_in(Setup::with_check(component))
}

fn fault_in(setup: Setup) -> (FaultKind, String) {
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

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let start = Instant::now();
    let (kind, message) = fault(&guest::endless());
    assert_eq!(kind, FaultKind::Timeout);
    assert_eq!(message, "no answer within 100 ms");
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn a_sleep_ends_at_the_deadline() {
    let sleeper = guest::check(
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
             (func $after (param i64) (result i32)))
           (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#,
        "(call $block (call $after (i64.const 3600000000000))) unreachable",
    );
    let start = Instant::now();
    let (kind, _) = fault(&sleeper);
    assert_eq!(kind, FaultKind::Timeout);
    // An order of magnitude, not a measurement: an hour was asked for.
    assert!(start.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_trap_is_named_with_the_function_it_happened_in() {
    let (kind, message) = fault(&guest::check(
        "(func $inner unreachable)",
        "(call $inner) unreachable",
    ));
    assert_eq!(kind, FaultKind::Trap);
    assert!(message.contains("unreachable"), "{message}");
    assert!(message.contains("inner"), "{message}");
}

#[test]
fn endless_recursion_is_a_trap_and_not_the_end_of_the_worker() {
    let (kind, message) = fault(&guest::check(
        "(func $down (param i64 i64) (result i64)
           (i64.add (call $down (local.get 1) (local.get 0)) (local.get 0)))",
        "(drop (call $down (i64.const 1) (i64.const 2))) unreachable",
    ));
    assert_eq!(kind, FaultKind::Trap);
    assert!(message.contains("stack"), "{message}");
}

#[test]
fn memory_ends_at_the_limit_and_the_peak_is_reported() {
    let eater = guest::check(
        "",
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
         unreachable",
    );
    let limits = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    let setup = Setup::with_check(&eater).limits(limits);
    let report = setup.run();
    assert!(report.memory_peak <= 8 << 20, "{report:?}");
    assert!(report.memory_peak > 6 << 20, "{report:?}");
    let (kind, message) = fault_in(setup);
    assert_eq!(kind, FaultKind::Limit);
    assert!(message.contains("memory"), "{message}");
}

#[test]
fn tables_count_as_memory() {
    let eater = guest::check(
        "(table $t 1 funcref)",
        "(loop $more
           (br_if $more
             (i32.ne (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1))))
         unreachable",
    );
    let limits = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    let (kind, _) = fault_in(Setup::with_check(&eater).limits(limits));
    assert_eq!(kind, FaultKind::Limit);
}

#[test]
fn a_plugin_that_starts_with_more_than_it_may_have_is_refused_at_load() {
    let setup = Setup::with_check(&guest::healthy()).limits(Limits {
        memory: 64 << 10,
        ..Limits::default()
    });
    let faults = setup.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("memory"), "{faults:?}");
}

#[test]
fn megabytes_in_one_call_are_a_limit() {
    let shouter = guest::check(
        r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))"#,
        "(drop (memory.grow (i32.const 64)))
         (call $write (i32.const 2) (i32.const 0) (i32.const 4000000) (i32.const 0) (i32.const 0))
         unreachable",
    );
    assert_eq!(fault(&shouter).0, FaultKind::Limit);
    let answerer = guest::check(
        "",
        "(drop (memory.grow (i32.const 1000)))
         (call $report (i32.const 0) (i32.const 0) (i32.const 60000000))",
    );
    assert_eq!(fault(&answerer).0, FaultKind::Limit);
}

#[test]
fn a_long_answer_is_cut() {
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
fn an_answer_that_is_not_text_is_a_trap() {
    let (kind, _) = fault(&guest::check(
        r#"(data (i32.const 0) "\ff\fe")"#,
        "(call $report (i32.const 0) (i32.const 0) (i32.const 2))",
    ));
    assert_eq!(kind, FaultKind::Trap);
    let (kind, _) = fault(&guest::check(
        "",
        "(call $report (i32.const 99) (i32.const 0) (i32.const 0))",
    ));
    assert_eq!(kind, FaultKind::Trap);
    let (kind, _) = fault(&guest::check("", "(i32.const -16)"));
    assert_eq!(kind, FaultKind::Trap);
}

#[test]
fn an_exit_ends_the_run_and_nothing_else() {
    let leaver = guest::check(
        r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#,
        "(call $exit (i32.const 1)) unreachable",
    );
    let (kind, message) = fault(&leaver);
    assert_eq!(kind, FaultKind::Error);
    assert!(message.contains("exit"), "{message}");
}

#[test]
fn a_plugin_error_is_an_error_with_its_words() {
    let (kind, message) = fault(&guest::check(
        r#"(data (i32.const 0) "no luck")"#,
        "(call $failed (i32.const 0) (i32.const 7))",
    ));
    assert_eq!((kind, message.as_str()), (FaultKind::Error, "no luck"));
}

#[test]
fn a_flood_of_lines_is_dropped_and_counted() {
    let flooder = guest::check(
        r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
           (data (i32.const 0) "x\n<0>forged\1b[2J")"#,
        "(local $n i32)
         (loop $more
           (call $write (i32.const 3) (i32.const 0) (i32.const 15) (i32.const 0) (i32.const 0))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $n) (i32.const 2000))))
         (call $report (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    let mut worker = Setup::with_check(&flooder).timing(60_000, 30_000).loaded();
    worker.send(&ToWorker::Start);
    let mut lines = 0;
    let dropped = worker.find(|frame| match frame {
        FromWorker::Log { message, level, .. } => {
            assert_eq!(message, r"x\n<0>forged\u{1b}[2J");
            assert_eq!(level, LogLevel::Warn);
            lines += 1;
            None
        }
        FromWorker::LogDropped { lines, .. } => Some(lines),
        _ => None,
    });
    // The burst is 20; what the bucket gains in 30 s at 60 a minute comes on top at most.
    assert!((20..=50).contains(&lines), "{lines}");
    assert_eq!(lines + dropped, 2000);
}

#[test]
fn standard_output_is_a_line_of_the_log() {
    let printer = guest::check(
        r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
           (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
             (func $print (param i32 i32 i32 i32)))
           (data (i32.const 0) "hello\nworld")"#,
        "(call $print (call $stdout) (i32.const 0) (i32.const 11) (i32.const 512))
         (call $report (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    let log = Setup::with_check(&printer).run().log;
    let lines: Vec<&str> = log.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["hello", "world"]);
}

#[test]
fn more_instances_memories_or_tables_than_allowed_are_refused_at_load() {
    for (what, module, count) in [
        ("memory", "(memory 1)", 9),
        ("table", "(table 1 funcref)", 33),
        ("instance", "", 129),
    ] {
        let instances = "(core instance (instantiate $m))".repeat(count);
        let text = |instances: &str| format!("(component (core module $m {module}) {instances})");
        let too_many = wat::parse_str(text(&instances)).unwrap();
        let faults = Setup::empty().plugin("p", &too_many).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        let limit = format!("{what} count too high at {count}");
        assert!(faults[0].message.contains(&limit), "{faults:?}");
        let one_less = &instances[..instances.len() / count * (count - 1)];
        let allowed = wat::parse_str(text(one_less)).unwrap();
        assert_eq!(Setup::empty().plugin("p", &allowed).faults(), []);
    }
}
