//! Components made to cost the worker more than a run may: memory, or the time of others.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use mainstay_protocol::{Fault, FaultKind, FromWorker, Limits, Outcome, Sealed, Subject, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

use crate::loading::{VALID, description_with, with_schema};

/// The most memory that the worker has had so far, in bytes.
fn peak(worker: &Worker) -> u64 {
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

fn fault(worker: &mut Worker) -> Fault {
    match worker.run("c").outcome {
        Outcome::Fault(fault) => fault,
        Outcome::Report(report) => panic!("no fault but {report:?}"),
    }
}

/// A check that traps in the depth of a recursion of a function with this name.
fn trapping_in(name: &str) -> Vec<u8> {
    let down = format!(
        r#"(func $down (@name "{name}") (param i64 i64) (result i64)
             (i64.add (call $down (local.get 1) (local.get 0)) (local.get 0)))"#
    );
    guest::check(
        &down,
        "(drop (call $down (i64.const 1) (i64.const 2))) unreachable",
    )
}

#[test]
fn a_name_of_megabytes_makes_no_trap_of_gigabytes() {
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
fn a_short_name_is_not_written_out_as_a_long_one() {
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

#[test]
fn a_name_of_rust_is_shown_as_it_was_written() {
    let mut worker = Setup::with_check(&trapping_in("_ZN3toy4down17h0123456789abcdefE")).loaded();
    let fault = fault(&mut worker);
    assert!(fault.message.contains("toy::down"), "{fault:?}");
}

/// A check with settings of a schema that takes 2^40 steps to look at.
fn doubling() -> Setup {
    let level = |n: usize| {
        let below = format!(r##"{{"$ref":"#/$defs/{}"}}"##, n + 1);
        format!(r#""{n}":{{"allOf":[{below},{below}]}},"#)
    };
    let levels: String = (0..40).map(level).collect();
    let schema =
        format!(r##"{{"$ref":"#/$defs/0","$defs":{{{levels}"40":{{"type":"object"}}}}}}"##);
    Setup::with_check(&with_schema(&schema, &description_with(&schema), VALID))
}

#[test]
fn a_schema_that_takes_years_to_check_is_given_up() {
    let setup = doubling().check("d", "p");
    let faults = setup.faults();
    let about: Vec<_> = faults.iter().map(|fault| fault.subject.clone()).collect();
    let [c, d] = ["c", "d"].map(|name| Subject::Check(name.to_owned()));
    assert_eq!(about, [c, d], "{faults:?}");
    for fault in faults {
        let expected = "its settings schema cannot be used: it takes longer than 1 s";
        assert_eq!(fault.message, expected);
    }
}

#[test]
fn a_schema_that_takes_years_to_check_does_not_keep_the_worker() {
    let setup = doubling();
    let component = &setup.components["p"];
    let code = Worker::compile(component).unwrap();
    let mut worker = Worker::start();
    worker.send_load(&setup.load);
    let message = ToWorker::Code {
        code: "p".to_owned(),
    };
    worker.send_with(&message, code);
    worker.until_in_flight(|counts| counts[0] > 0);
    assert!(worker.abandon().success());
}

#[test]
fn components_in_components_end_the_compiler_at_its_limit() {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..20_000 {
        let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
        let mut length = bytes.len();
        while length > 0x7f {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(bytes);
        bytes = outer;
    }
    let mut compiler = Worker::start();
    let request = ToWorker::Compile {
        plugin: "p".to_owned(),
    };
    compiler.send_with(&request, Sealed::of("test", &bytes).unwrap());
    // By abort(), when memory is refused; not by the machine, when there is none.
    assert_eq!(compiler.ended().signal(), Some(6));
}

#[test]
fn ten_thousand_imports_are_refused_in_words() {
    let imports: String = (0..10_000)
        .map(|n| format!(r#"(import "a:b/c{n}" (instance))"#))
        .collect();
    let component = wat::parse_str(format!("(component {imports})")).unwrap();
    let faults = Setup::empty().plugin("p", &component).faults();
    assert_eq!(faults.len(), 1);
    let message = &faults[0].message;
    assert!(message.contains("count exceeds limit"), "{message}");
}

#[test]
fn what_is_no_component_is_refused_in_words() {
    let whole = guest::healthy();
    let core = wat::parse_str("(module)").unwrap();
    for bytes in [
        &b""[..],
        b"\x7fELF\x02\x01\x01",
        &core,
        &whole[..8],
        &whole[..whole.len() / 2],
        &whole[..whole.len() - 1],
    ] {
        match Worker::compile(bytes) {
            // Nothing but a header is a component without anything in it.
            Ok(_) => assert_eq!(bytes.len(), 8),
            Err(fault) => {
                assert!(fault.message.contains("not a valid component"), "{fault:?}");
                assert!(fault.help.is_some(), "{fault:?}");
            }
        }
    }
}

#[test]
fn a_loop_of_large_copies_ends_at_the_deadline() {
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
fn a_flood_of_cheap_calls_ends_at_the_deadline() {
    let flooder = guest::check(
        r#"(import "mainstay:plugin/budget@0.1.0" "remaining-ms" (func $left (result i32)))"#,
        "(loop $again (drop (call $left)) (br $again)) unreachable",
    );
    let mut worker = Setup::with_check(&flooder).loaded();
    assert_eq!(fault(&mut worker).kind, FaultKind::Timeout);
}

#[test]
fn writes_of_nothing_take_no_memory() {
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
fn a_host_function_at_the_end_of_the_stack_does_not_end_the_worker() {
    let diver = guest::check(
        r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
           (data (i32.const 0) "deep")
           (func $down (param i64 i64) (result i64)
             (call $write (i32.const 3) (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 0))
             (i64.add (call $down (local.get 1) (local.get 0)) (local.get 0)))"#,
        "(drop (call $down (i64.const 1) (i64.const 2))) unreachable",
    );
    let mut worker = Setup::with_check(&diver).timing(60_000, 10_000).loaded();
    let fault = fault(&mut worker);
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(fault.message.contains("stack"), "{fault:?}");
}

#[test]
fn the_memories_of_a_component_share_one_limit() {
    let with = |count: usize| {
        let instances = "(core instance (instantiate $m))".repeat(count);
        let text = format!("(component (core module $m (memory 32)) {instances})");
        let limits = Limits {
            memory: 8 << 20,
            ..Limits::default()
        };
        let component = wat::parse_str(text).unwrap();
        Setup::empty()
            .plugin("p", &component)
            .limits(limits)
            .faults()
    };
    assert_eq!(with(4), []);
    let faults = with(5);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("memory"), "{faults:?}");
}

#[test]
fn a_plugin_that_floods_the_log_takes_no_lines_from_another() {
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
