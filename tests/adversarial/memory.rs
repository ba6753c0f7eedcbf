//! Plugins that take memory, or stack.

use mainstay_protocol::{FaultKind, Limits, Outcome};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Setup;

use crate::ending::{fault, fault_in, faulty};

#[test]
fn t03_memory_ends_at_the_limit_and_the_peak_is_reported() {
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
fn t03_a_plugin_that_starts_with_more_than_it_may_have_is_refused_at_load() {
    let setup = Setup::with_check(&guest::healthy()).limits(Limits {
        memory: 64 << 10,
        ..Limits::default()
    });
    let faults = setup.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].message.contains("memory"), "{faults:?}");
}

#[test]
fn t04_tables_count_as_memory() {
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
fn t04_a_table_has_its_own_limit() {
    let grown_to = |elements: u32| {
        let grower = guest::check(
            r#"(table $t 1 funcref) (data (i32.const 0) "grown")"#,
            &format!(
                "(if (i32.eq (table.grow $t (ref.null func) (i32.const {})) (i32.const -1)) (then unreachable))
                 (call $report (i32.const 0) (i32.const 0) (i32.const 5))",
                elements - 1
            ),
        );
        Setup::with_check(&grower).run().outcome
    };
    let Outcome::Report(_) = grown_to(100_000) else {
        panic!("not as large as it may be");
    };
    match grown_to(100_001) {
        Outcome::Fault(fault) => {
            assert_eq!(fault.kind, FaultKind::Limit, "{fault:?}");
            assert!(fault.message.contains("100000 elements"), "{fault:?}");
        }
        Outcome::Report(_) => panic!("larger than it may be"),
    }
}

#[test]
fn t04_more_instances_memories_or_tables_than_allowed_are_refused_at_load() {
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

#[test]
fn t04_the_memories_of_a_component_share_one_limit() {
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
fn t09_endless_recursion_is_a_trap_and_not_the_end_of_the_worker() {
    let (kind, message) = faulty(&guest::check(
        "(func $down (param i64 i64) (result i64)
           (i64.add (call $down (local.get 1) (local.get 0)) (local.get 0)))",
        "(drop (call $down (i64.const 1) (i64.const 2))) unreachable",
    ));
    assert_eq!(kind, FaultKind::Trap);
    assert!(message.contains("stack"), "{message}");
}

#[test]
fn t10_a_host_function_at_the_end_of_the_stack_does_not_end_the_worker() {
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
