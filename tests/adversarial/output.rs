//! What plugins write: to the log, and to standard output.

use mainstay_protocol::{FaultKind, FromWorker, LogLevel, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

use crate::ending::{fault, peak};

#[test]
fn t06_a_flood_of_lines_is_dropped_and_counted() {
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
fn t06_standard_output_is_a_line_of_the_log() {
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
fn t07_writes_of_nothing_take_no_memory() {
    let printer = guest::check(
        r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
           (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
             (func $print (param i32 i32 i32 i32)))"#,
        "(local $out i32)
         (local.set $out (call $stdout))
         (loop $again
           (call $print (local.get $out) (i32.const 0) (i32.const 0) (i32.const 512))
           (br $again))
         unreachable",
    );
    let mut worker = Setup::with_check(&printer).timing(60_000, 1000).loaded();
    let before = peak(&worker);
    assert_eq!(fault(&mut worker).kind, FaultKind::Timeout);
    let grown = peak(&worker) - before;
    assert!(grown < 8 << 20, "{grown} bytes");
}

#[test]
fn t29_a_plugin_that_floods_the_log_takes_no_lines_from_another() {
    let logger = |lines: u32| {
        guest::check(
            r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
               (data (i32.const 0) "line")"#,
            &format!(
                "(local $n i32)
                 (loop $more
                   (call $write (i32.const 3) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0))
                   (local.set $n (i32.add (local.get $n) (i32.const 1)))
                   (br_if $more (i32.lt_u (local.get $n) (i32.const {lines}))))
                 (call $report (i32.const 0) (i32.const 0) (i32.const 0))"
            ),
        )
    };
    let setup = Setup::empty()
        .plugin("loud", &logger(100))
        .check("loud", "loud")
        .timing(60_000, 30_000)
        .plugin("quiet", &logger(1))
        .check("quiet", "quiet");
    let mut worker = setup.loaded();
    worker.send(&ToWorker::Start);
    worker.find(|frame| matches!(frame, FromWorker::LogDropped { .. }).then_some(()));
    // Together they would have a line in a second, and this one runs ten times in a second.
    let mut lines = 0;
    let mut runs = 0;
    worker.find(|frame| {
        match frame {
            FromWorker::Log { plugin, .. } => lines += u32::from(plugin == "quiet"),
            FromWorker::Verdict { check, .. } => runs += u32::from(check == "quiet"),
            _ => {}
        }
        (runs == 5).then_some(())
    });
    assert!(lines >= 4, "{lines} lines");
}
