//! Plugins that look for what other runs have left: an instance is new, whatever memory it is made in.

use std::fs;

use mainstay_protocol::{FaultKind, Outcome};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

use crate::ending::fault;

/// Goes through all of its memory, a global and a table, traps at anything that is not as at the beginning, and then
/// leaves its mark on so many bytes of memory and on everything else.
fn marker(bytes: u32, looks: u32) -> Vec<u8> {
    guest::check(
        r#"(data (i32.const 0) "fine")
           (global $mark (mut i32) (i32.const 0))
           (table $t 4 funcref)
           (elem declare func $nothing)
           (func $nothing)
           (func $zero (param $at i32) (param $end i32)
             (loop $next
               (if (i32.lt_u (local.get $at) (local.get $end))
                 (then
                   (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
                   (local.set $at (i32.add (local.get $at) (i32.const 8)))
                   (br $next)))))
           (func $free (result i32)
             (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
           (func $end (result i32) (i32.mul (memory.size) (i32.const 65536)))
           (func $look
             (if (i32.ne (i32.load (i32.const 0)) (i32.const 0x656e6966)) (then unreachable))
             (if (global.get $mark) (then unreachable))
             (if (i32.eqz (ref.is_null (table.get $t (i32.const 2)))) (then unreachable))
             (call $zero (i32.const 8) (i32.const 2048))
             (call $zero (call $free) (call $end)))
           (func $leave (param $bytes i32)
             (global.set $mark (i32.const 1))
             (table.set $t (i32.const 2) (ref.func $nothing))
             (memory.fill (i32.const 8) (i32.const 0xaa) (i32.const 1000))
             (memory.fill (call $free) (i32.const 0xaa) (local.get $bytes))
             (i32.store (i32.const 0) (i32.const 0x656e6f64)))"#,
        &format!(
            "(drop (memory.grow (i32.const 32)))
             {}
             (call $report (i32.const 0) (i32.const 0) (i32.const 4))",
            format!("(call $look) (call $leave (i32.const {bytes}))").repeat(looks as usize)
        ),
    )
}

/// How many addresses a process has mapped, in bytes.
fn addresses(pid: u32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages = pages.split(' ').next().unwrap();
    pages.parse::<u64>().unwrap() * 4096
}

/// Less than what is cleared and kept of a memory that is used again, and more.
const BYTES: [u32; 2] = [60_000, 1_500_000];

#[test]
fn t29_a_run_finds_nothing_of_the_one_before() {
    for bytes in BYTES {
        let setup = Setup::with_check(&marker(bytes, 1)).timing(60_000, 30_000);
        let mut worker = setup.loaded();
        for run in 0..20 {
            match worker.run("c").outcome {
                Outcome::Report(report) => assert_eq!(report.message, "done"),
                Outcome::Fault(fault) => panic!("run {run} found something: {fault:?}"),
            }
        }
        // Two memories that stay mapped, or there is nothing to be found: each has 4 GiB of addresses.
        assert!(addresses(worker.pid()) > 8 << 30);
    }
}

#[test]
fn t29_what_is_looked_for_is_found_where_it_is() {
    for bytes in BYTES {
        let setup = Setup::with_check(&marker(bytes, 2)).timing(60_000, 30_000);
        let fault = fault(&mut setup.loaded());
        assert_eq!(fault.kind, FaultKind::Trap);
    }
}
