//! When checks run, and what they keep from run to run.

use std::time::{Duration, Instant};

use mainstay_protocol::{FaultKind, FromWorker, Outcome, Status, Subject, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

fn start(setup: &Setup) -> Worker {
    let mut worker = setup.loaded();
    worker.send(&ToWorker::Start);
    worker
}

fn status(outcome: &Outcome) -> Status {
    match outcome {
        Outcome::Report(report) => report.status,
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}

fn fault(outcome: &Outcome) -> FaultKind {
    match outcome {
        Outcome::Fault(fault) => fault.kind,
        Outcome::Report(report) => panic!("{report:?}"),
    }
}

#[test]
fn nothing_runs_before_the_start() {
    let mut worker = Setup::with_check(&guest::healthy()).loaded();
    // The answer to this comes first, since nothing else goes on.
    worker.send(&ToWorker::Run(mainstay_protocol::Run { check: "c".into() }));
    assert!(matches!(worker.frame(), FromWorker::Ran(_)));
}

#[test]
fn a_run_is_noted_as_long_as_it_lasts() {
    let setup = Setup::empty()
        .plugin("good", &guest::healthy())
        .plugin("loop", &guest::endless())
        .check("good", "good")
        .check("loop", "loop")
        .timing(60_000, 60_000);
    let mut worker = start(&setup);
    worker.until_in_flight(|counts| counts == [0, 1]);
    // The good one comes and goes meanwhile.
    worker.verdict("good");
    worker.until_in_flight(|counts| counts == [0, 1]);

    // One that ends by itself is noted no more when its verdict is there.
    let setup = Setup::with_check(&guest::endless()).timing(60_000, 200);
    let mut worker = start(&setup);
    worker.until_in_flight(|counts| counts == [1]);
    assert_eq!(fault(&worker.verdict("c").0), FaultKind::Timeout);
    assert_eq!(worker.in_flight(), [0]);
}

#[test]
fn t01_a_loop_in_one_check_leaves_the_other_its_verdicts() {
    let setup = Setup::empty()
        .plugin("loop", &guest::endless())
        .plugin("good", &guest::healthy())
        .check("loop", "loop")
        .check("good", "good");
    let mut worker = start(&setup);
    for _ in 0..5 {
        assert_eq!(status(&worker.verdict("good").0), Status::Healthy);
    }
    assert_eq!(fault(&worker.verdict("loop").0), FaultKind::Timeout);
    assert_eq!(status(&worker.verdict("good").0), Status::Healthy);
}

#[test]
fn ticks_during_a_run_are_counted_and_not_queued() {
    let setup = Setup::with_check(&guest::endless()).timing(20, 200);
    let mut worker = start(&setup);
    for _ in 0..2 {
        let (outcome, overruns) = worker.verdict("c");
        assert_eq!(fault(&outcome), FaultKind::Timeout);
        assert!(overruns >= 9, "{overruns}");
    }
}

#[test]
fn no_more_runs_at_once_than_allowed() {
    let mut setup = Setup::empty().plugin("p", &guest::endless());
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        setup = setup.check(name, "p").timing(50, 50);
    }
    setup.load.max_concurrent_runs = 2;
    let mut worker = start(&setup);
    let mut most = 0;
    let mut verdicts = 0;
    worker.until_in_flight(|counts| counts == [2]);
    while verdicts < 40 {
        most = most.max(worker.in_flight()[0]);
        verdicts += usize::from(matches!(worker.frame(), FromWorker::Verdict { .. }));
    }
    assert!((1..=2).contains(&most), "{most}");
}

#[test]
fn state_is_carried_and_memory_is_not() {
    // Unhealthy at first. Later healthy, if the sequence goes on by one, the state is that of the
    // run before, the status of the run before is told, and memory is fresh.
    let component = guest::check(
        "(global $dirty (mut i32) (i32.const 0))",
        "(local $ok i32)
         (local.set $ok
           (i32.and
             (i32.and
               (i32.load8_u offset=80 (local.get $request))
               (i32.load8_u offset=84 (local.get $request)))
             (i32.and
               (i32.eq (i32.load offset=92 (local.get $request)) (i32.const 1))
               (i32.and
                 (i32.eqz (global.get $dirty))
                 (i32.eq
                   (i32.load8_u (i32.load offset=88 (local.get $request)))
                   (i32.sub (i32.load8_u offset=72 (local.get $request)) (i32.const 1)))))))
         (global.set $dirty (i32.const 1))
         (i32.store8 (i32.const 0) (i32.load8_u offset=72 (local.get $request)))
         (i32.store8 offset=32 (i32.const 1024) (i32.const 1))
         (i32.store offset=36 (i32.const 1024) (i32.const 0))
         (i32.store offset=40 (i32.const 1024) (i32.const 1))
         (call $report
           (select (i32.const 0) (i32.const 2) (local.get $ok)) (i32.const 0) (i32.const 0))",
    );
    let mut worker = start(&Setup::with_check(&component));
    assert_eq!(status(&worker.verdict("c").0), Status::Unhealthy);
    for _ in 0..3 {
        assert_eq!(status(&worker.verdict("c").0), Status::Healthy);
    }
}

#[test]
fn traps_in_a_row_bring_a_rest_and_then_another_try() {
    let trapper = guest::check("", "unreachable");
    let setup = Setup::with_check(&trapper)
        .timing(50, 50)
        .quarantine(3, 300);
    let mut worker = start(&setup);
    for _ in 0..3 {
        assert_eq!(fault(&worker.verdict("c").0), FaultKind::Trap);
    }
    match worker.frame() {
        FromWorker::Quarantine { check, for_ms } => {
            assert_eq!((check.as_str(), for_ms), ("c", 300));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fault(&worker.verdict("c").0), FaultKind::Quarantined);
    worker.find(|frame| match frame {
        FromWorker::Quarantine { for_ms: 0, .. } => Some(()),
        FromWorker::Verdict { outcome, .. } => {
            assert_eq!(fault(&outcome), FaultKind::Quarantined);
            None
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(fault(&worker.verdict("c").0), FaultKind::Trap);
}

#[test]
fn timeouts_bring_no_rest() {
    let setup = Setup::with_check(&guest::endless())
        .timing(50, 50)
        .quarantine(1, 60_000);
    let mut worker = start(&setup);
    for _ in 0..4 {
        assert_eq!(fault(&worker.verdict("c").0), FaultKind::Timeout);
    }
}

#[test]
fn a_check_is_told_its_target() {
    // Healthy when the target is an endpoint with this port; the message is its address.
    let component = guest::check(
        "",
        "(call $report
           (select (i32.const 0) (i32.const 2)
             (i32.and
               (i32.eq (i32.load8_u offset=8 (local.get $request)) (i32.const 2))
               (i32.eq (i32.load16_u offset=20 (local.get $request)) (i32.const 443))))
           (i32.load offset=12 (local.get $request))
           (i32.load offset=16 (local.get $request)))",
    );
    for (target, address) in [
        ("10.0.0.5:443", "10.0.0.5"),
        ("[2001:db8::5]:443", "2001:db8::5"),
    ] {
        let mut setup = Setup::with_check(&component);
        setup.load.checks[0].target = Some(target.parse().unwrap());
        match setup.run().outcome {
            Outcome::Report(report) => {
                assert_eq!(report.status, Status::Healthy);
                assert_eq!(report.message, address);
            }
            other => panic!("{other:?}"),
        }
    }
    // Without one the target is the node, whatever else stands in the memory there.
    let node = guest::check(
        "",
        "(call $report
           (select (i32.const 0) (i32.const 2)
             (i32.eqz (i32.load8_u offset=8 (local.get $request))))
           (i32.const 0) (i32.const 0))",
    );
    assert_eq!(
        status(&Setup::with_check(&node).run().outcome),
        Status::Healthy
    );
}

#[test]
fn jitter_spreads_the_runs() {
    let mut setup = Setup::with_check(&guest::healthy()).timing(400, 100);
    setup.load.checks[0].jitter_ms = 200;
    let mut worker = start(&setup);
    let mut at = Vec::new();
    for _ in 0..8 {
        worker.verdict("c");
        at.push(Instant::now());
    }
    // On the grid they would be alike, but for what a busy machine adds.
    let gaps: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let spread = *gaps.iter().max().unwrap() - *gaps.iter().min().unwrap();
    assert!(spread > Duration::from_millis(60), "{gaps:?}");
}

#[test]
fn what_runs_came_to_is_told_now_and_then_and_not_with_each() {
    let counter = guest::check(
        r#"(import "mainstay:plugin/budget@0.1.0" "remaining-ms" (func $left (result i32)))"#,
        "(drop (call $left)) (call $report (i32.const 0) (i32.const 0) (i32.const 0))",
    );
    let trapper = guest::check("", "unreachable");
    let setup = Setup::empty()
        .plugin("p", &counter)
        .plugin("q", &trapper)
        .check("c", "p")
        .check("d", "q")
        .quarantine(1000, 1);
    let mut worker = start(&setup);
    let (mut runs, mut traps) = (0, 0);
    let mut told = Vec::new();
    while told.len() < 2 {
        match worker.frame() {
            FromWorker::Verdict { check, .. } if check == "c" => runs += 1,
            FromWorker::Verdict { .. } => traps += 1,
            FromWorker::Usage(usage) => told.push(usage),
            _ => {}
        }
    }
    // Runs that have just ended may be told of before their verdicts are.
    let near = |told: u64, seen: u64| told.abs_diff(seen) <= 2;
    let [c, d] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(c.subject, Subject::Check("c".into()));
    assert!(near(c.outcomes.ok, runs), "{c:?}: {runs}");
    assert_eq!(c.run.counts.iter().sum::<u64>(), c.outcomes.ok);
    assert_eq!(c.instantiate.counts.iter().sum::<u64>(), c.outcomes.ok);
    assert_eq!(c.host_calls, [("budget".to_owned(), c.outcomes.ok)]);
    let [(interface, times)] = &c.call_times[..] else {
        panic!("{c:?}")
    };
    assert_eq!(interface, "budget");
    assert_eq!(times.counts.iter().sum::<u64>(), c.outcomes.ok);
    assert_eq!(c.memory_peak, 2 << 16);
    assert!(near(d.outcomes.trap, traps), "{d:?}: {traps}");
    assert_eq!(d.outcomes.ok, 0);
}
