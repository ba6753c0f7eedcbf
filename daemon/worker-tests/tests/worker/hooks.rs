//! Hooks: every event answered, in the order of its source.

use mainstay_protocol::{
    CheckChange, DaemonPhase, Event, EventPayload, FaultKind, FromWorker, Outcome,
    RouterTransition, ToWorker,
};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

/// A hook with this body; `$event` points to the event.
fn hook(items: &str, body: &str) -> Vec<u8> {
    let run = format!(
        r#"(func (export "mainstay:plugin/hook@0.1.0#on-event") (param $event i32) (result i32)
             {body})"#
    );
    guest::component("hook", &guest::module(items, &run))
}

pub(crate) fn event(source: &str, sequence: u64) -> Event {
    Event {
        sequence,
        source: source.to_owned(),
        at_unix_ms: 1,
        queued_ms: 0,
        coalesced: false,
        payload: EventPayload::Router(RouterTransition {
            router: "VI_1".into(),
            family: "ipv4".into(),
            interface: "eth0".into(),
            id: 51,
            from: "backup".into(),
            to: "active".into(),
            priority: 100,
            addresses: vec!["10.0.0.1/24".into()],
            cause: "the master went down".into(),
        }),
    }
}

#[test]
fn hooks_that_hang_leave_the_checks_their_verdicts() {
    let hang = hook("", "(loop $l (br $l)) unreachable");
    let mut setup = Setup::empty()
        .plugin("hang", &hang)
        .hook("h", "hang")
        .plugin("good", &guest::healthy())
        .check("c", "good");
    setup.load.max_concurrent_runs = 1;
    setup.load.hooks[0].timeout_ms = 60_000;
    let mut worker = setup.loaded();
    for source in ["a", "b", "c", "d"] {
        send(&mut worker, "h", event(source, 1));
    }
    worker.send(&ToWorker::Start);
    for _ in 0..3 {
        let (outcome, _) = worker.verdict("c");
        assert!(matches!(outcome, Outcome::Report(_)), "{outcome:?}");
    }
}

fn loaded(component: &[u8]) -> Worker {
    Setup::empty()
        .plugin("p", component)
        .hook("h", "p")
        .loaded()
}

fn send(worker: &mut Worker, hook: &str, event: Event) {
    worker.send(&ToWorker::Event {
        hook: hook.to_owned(),
        event,
    });
}

/// Source, sequence and kind of error of the next answer.
fn done(worker: &mut Worker) -> (String, u64, Option<FaultKind>) {
    worker.find(|frame| match frame {
        FromWorker::HookDone {
            source,
            sequence,
            error,
            ..
        } => Some((source, sequence, error.map(|fault| fault.kind))),
        _ => None,
    })
}

#[test]
fn events_of_a_source_are_delivered_in_order() {
    let mut worker = loaded(&hook("", "(i32.const 1024)"));
    for sequence in 1..=20 {
        send(&mut worker, "h", event("a", sequence));
        send(&mut worker, "h", event("b", sequence));
    }
    let (mut a, mut b) = (0, 0);
    for _ in 0..40 {
        let (source, sequence, error) = done(&mut worker);
        assert_eq!(error, None);
        let last = if source == "a" { &mut a } else { &mut b };
        *last += 1;
        assert_eq!(sequence, *last, "{source}");
    }
    assert_eq!((a, b), (20, 20));
}

#[test]
fn the_plugin_sees_the_transition() {
    // Logs the name of the router, which stands in the payload after its case.
    let component = hook(
        r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))"#,
        "(call $write (i32.const 2)
           (i32.load offset=36 (local.get $event)) (i32.load offset=40 (local.get $event))
           (i32.const 0) (i32.const 0))
         (i32.const 1024)",
    );
    let mut worker = loaded(&component);
    send(&mut worker, "h", event("a", 1));
    let logged = worker.find(|frame| match frame {
        FromWorker::Log { message, .. } => Some(message),
        _ => None,
    });
    assert_eq!(logged, "VI_1");
    assert_eq!(done(&mut worker), ("a".into(), 1, None));
}

#[test]
fn the_plugin_sees_checks_and_the_daemon() {
    // Logs the case of the payload as so many bytes of zero.
    let component = hook(
        r#"(import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))"#,
        "(call $write (i32.const 2)
           (i32.const 4096) (i32.load8_u offset=32 (local.get $event))
           (i32.const 0) (i32.const 0))
         (i32.const 1024)",
    );
    let mut worker = loaded(&component);
    let change = CheckChange {
        check: "c".into(),
        from: None,
        to: "healthy".into(),
        message: "fine".into(),
    };
    for (sequence, payload, case) in [
        (1, EventPayload::Check(change), 3),
        (2, EventPayload::Daemon(DaemonPhase::Stopping), 4),
    ] {
        let event = Event {
            payload,
            ..event("x", sequence)
        };
        send(&mut worker, "h", event);
        let logged = worker.find(|frame| match frame {
            FromWorker::Log { message, .. } => Some(message.matches(r"\u{0}").count()),
            _ => None,
        });
        assert_eq!(logged, case);
        assert_eq!(done(&mut worker), ("x".into(), sequence, None));
    }
}

#[test]
fn a_hook_that_fails_is_told_and_called_again_for_the_next_event() {
    for (body, kind) in [
        ("unreachable", FaultKind::Trap),
        ("(loop $l (br $l)) unreachable", FaultKind::Timeout),
        (
            "(call $failed (i32.const 0) (i32.const 0))",
            FaultKind::Error,
        ),
    ] {
        let mut worker = loaded(&hook("", body));
        for sequence in 1..=2 {
            send(&mut worker, "h", event("a", sequence));
            assert_eq!(done(&mut worker), ("a".into(), sequence, Some(kind)));
        }
    }
}

#[test]
fn a_hook_that_does_not_exist_is_answered() {
    let mut worker = loaded(&hook("", "(i32.const 1024)"));
    send(&mut worker, "other", event("a", 1));
    assert_eq!(done(&mut worker), ("a".into(), 1, Some(FaultKind::Limit)));
}

#[test]
fn a_storm_is_answered_event_by_event_and_bounded() {
    let mut worker = loaded(&hook("", "(loop $l (br $l)) unreachable"));
    for sequence in 1..=200 {
        send(&mut worker, "h", event("a", sequence));
    }
    // One is being delivered and 64 wait; the others are refused at once.
    let mut refused = 0;
    let first = loop {
        match done(&mut worker) {
            (_, _, Some(FaultKind::Limit)) => refused += 1,
            other => break other,
        }
    };
    assert_eq!(first, ("a".into(), 1, Some(FaultKind::Timeout)));
    assert!((100..=136).contains(&refused), "{refused}");
}
