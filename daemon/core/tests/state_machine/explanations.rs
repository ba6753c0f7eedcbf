//! What people are told of why: causes, and what came after them.

use std::time::Duration;

use mainstay_core::event::{Cause, Fault, RejectedPackets, RouterState};
use mainstay_core::input::{Input, Status, WeightChange};
use mainstay_core::settings::{RouterSettings, Track};

use crate::bench::*;

fn with_weight(weight: i16, status: Status) -> Bench {
    let mut bench = Bench::new(tracking(Some(weight)));
    bench.look();
    bench.judge(status);
    bench
}

fn remarks(bench: &Bench) -> Vec<String> {
    let explanation = bench.engine.explain(None).remove(0);
    let remarks = explanation.remarks.into_iter();
    remarks.map(|remark| remark.message).collect()
}

#[test]
fn v3_46_who_takes_over_from_a_lower_priority_says_so() {
    let mut bench = Bench::backup(router());
    bench.pass(SECOND);
    bench.hear(LOWER, 80);
    bench.run_to_deadline();
    let cause = Cause::NotAccepted {
        source: LOWER,
        priority: 80,
        own: PRIORITY,
        before: down(PRIORITY) - SECOND,
    };
    assert_eq!(bench.causes(), [cause]);
    assert_eq!(
        bench.router().cause,
        "preempts 192.168.1.9, whose priority 80 (heard 2.609 s before) is lower than 100"
    );
}

#[test]
fn v3_46_a_priority_that_was_raised_is_why_another_is_not_accepted() {
    let mut bench = with_weight(20, Status::Healthy);
    bench.hear(LOWER, 110);
    bench.run_to_deadline();
    let causes = bench.causes();
    assert!(
        matches!(
            causes[0],
            Cause::NotAccepted {
                priority: 110,
                own: 120,
                ..
            }
        ),
        "{causes:?}"
    );
    assert!(
        matches!(
            causes[1],
            Cause::Priority {
                from: 100,
                to: 120,
                ..
            }
        ),
        "{causes:?}"
    );
    assert_eq!(causes.len(), 2);
}

#[test]
fn v3_46_who_preempts_compares_with_the_priority_that_it_has_now() {
    let mut bench = with_weight(-20, Status::Healthy);
    bench.hear(LOWER, 70);
    bench.pass(SECOND);
    bench.judge(Status::Unhealthy);
    bench.run_to_deadline();
    let cause = Cause::NotAccepted {
        source: LOWER,
        priority: 70,
        own: 80,
        before: down(80),
    };
    assert_eq!(bench.causes(), [cause]);
    assert_eq!(
        bench.router().cause,
        "preempts 192.168.1.9, whose priority 70 (heard 3.688 s before) is lower than 80"
    );
}

#[test]
fn whoever_was_not_accepted_before_the_last_wait_is_only_the_last_heard() {
    let mut bench = Bench::backup(router());
    bench.hear(LOWER, 80);
    bench.pass(SECOND);
    bench.set_link(false);
    bench.set_link(true);
    bench.run_to_deadline();
    assert_only_last_heard(&bench);
}

#[test]
fn whoever_is_accepted_is_the_last_heard() {
    for (preempt, priority) in [(true, 100), (true, 0), (false, 80)] {
        let mut bench = Bench::backup(RouterSettings {
            preempt,
            ..router()
        });
        bench.hear(LOWER, priority);
        bench.run_to_deadline();
        assert_only_last_heard(&bench);
    }
}

fn assert_only_last_heard(bench: &Bench) {
    let causes = bench.causes();
    let expected = matches!(
        causes[..],
        [Cause::ActiveDown { .. }, Cause::LastHeard { .. }]
    );
    assert!(expected, "{causes:?}");
}

#[test]
fn packets_that_could_not_be_accepted_are_not_silence() {
    let mut bench = Bench::backup(router());
    for _ in 0..2 {
        let mut packet = bench.packet(GREATER, 200, SECOND);
        packet.hop_limit = 64;
        bench.input(Input::Packet(packet));
    }
    bench.run_to_deadline();
    let rejected = RejectedPackets {
        reason: "hop-limit".to_owned(),
        count: 2,
        source: GREATER,
    };
    let interval = down(PRIORITY);
    let rejected = vec![rejected];
    let causes = [
        Cause::ActiveDown { interval },
        Cause::NoneAccepted { rejected },
    ];
    assert_eq!(bench.causes(), causes);
    assert_eq!(
        causes[1].to_string(),
        "no other router that could be accepted has been heard; \
         rejected: hop-limit 2 (192.168.1.11)"
    );
}

#[test]
fn packets_that_were_rejected_long_ago_are_no_cause() {
    let mut bench = Bench::backup(router());
    bench.hear(OWN, 200);
    bench.set_link(false);
    bench.pass(600 * SECOND);
    bench.set_link(true);
    bench.run_to_deadline();
    let interval = down(PRIORITY);
    let causes = [Cause::ActiveDown { interval }, Cause::NeverHeard];
    assert_eq!(bench.causes(), causes);
}

#[test]
fn the_priority_is_no_cause_of_what_it_did_not_decide() {
    let mut bench = with_weight(-20, Status::Unhealthy);
    bench.run_to_deadline();
    let interval = down(80);
    let causes = [Cause::ActiveDown { interval }, Cause::NeverHeard];
    assert_eq!(bench.causes(), causes);
    bench.set_link(false);
    let fault = Fault::LinkDown;
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
    bench.set_link(true);
    let fault = Fault::LinkDown;
    assert_eq!(bench.causes(), [Cause::FaultCleared { fault }]);
    bench.stop();
    assert_eq!(bench.causes(), [Cause::Stop]);
    // A higher priority that loses all the same.
    let mut bench = with_weight(20, Status::Healthy);
    bench.run_to_deadline();
    bench.hear(GREATER, 200);
    assert_eq!(bench.causes().len(), 1);
    // A lower one that nobody contends with.
    let mut bench = with_weight(-20, Status::Unhealthy);
    bench.hear(LOWER, 50);
    bench.run_to_deadline();
    assert_eq!(bench.causes().len(), 1);
}

#[test]
fn a_cause_that_holds_no_longer_is_not_shown_and_the_change_is_explained() {
    let mut bench = with_weight(-20, Status::Healthy);
    bench.run_to_deadline();
    bench.judge(Status::Unhealthy);
    bench.hear(LOWER, 90);
    assert_eq!(bench.state(), RouterState::Backup);
    let lost = "192.168.1.9 advertised priority 90, own was 80";
    assert_eq!(
        bench.router().cause,
        format!("{lost}; priority 100 became 80: check nginx -20: said so")
    );
    let reason = "check nginx -20: said so".to_owned();
    assert_eq!(bench.router().priority.reason, Some(reason));
    bench.judge(Status::Healthy);
    assert_eq!(bench.router().cause, lost);
    assert_eq!(bench.router().priority.reason, None);
    assert_eq!(
        remarks(&bench),
        [
            "priority 100 became 80: check nginx -20: no report yet",
            "priority 80 became 100: check nginx in service: said so",
            "priority 100 became 80: check nginx -20: said so",
            "priority 80 became 100: check nginx in service: said so",
        ]
    );
}

#[test]
fn a_priority_that_is_another_for_the_same_reason_is_not_shown_as_the_cause() {
    let mut bench = with_weight(-20, Status::Unhealthy);
    bench.run_to_deadline();
    bench.hear(LOWER, 90);
    let raised = with_priority(105).priority;
    bench.reconfigure(RouterSettings {
        priority: raised,
        ..tracking(Some(-20))
    });
    let router = bench.router();
    let reason = "check nginx -20: said so".to_owned();
    assert_eq!(router.priority.effective, 85);
    assert_eq!(router.priority.reason, Some(reason));
    assert_eq!(
        router.cause,
        "192.168.1.9 advertised priority 90, own was 80"
    );
}

#[test]
fn a_check_that_the_active_router_waits_for_is_not_said_to_be_out_of_service() {
    let mut bench = with_weight(-20, Status::Unhealthy);
    bench.run_to_deadline();
    bench.replace_checks();
    assert_eq!(bench.router().priority.effective, 100);
    assert_eq!(
        remarks(&bench).last().expect("a remark"),
        "priority 80 became 100: check nginx: no report yet"
    );
}

#[test]
fn a_priority_that_comes_back_names_the_check_that_came_back_and_those_that_did_not() {
    let mut settings = tracking(Some(-20));
    settings.track.push(Track {
        check: "backend".to_owned(),
        weight: Some(-5),
    });
    let mut bench = Bench::new(settings);
    bench.look();
    bench.judge(Status::Healthy);
    assert_eq!(
        remarks(&bench).last().expect("a remark"),
        "priority 75 became 95: check nginx in service: said so, check backend -5: no report yet"
    );
    // Not that it came back again, when something else makes the priority another one.
    bench.reconfigure(RouterSettings {
        priority: with_priority(110).priority,
        ..tracking(Some(-20))
    });
    assert_eq!(
        remarks(&bench).last().expect("a remark"),
        "priority 95 became 110: as configured"
    );
}

#[test]
fn a_weight_that_is_given_only_in_service_names_the_check_that_left() {
    let mut bench = with_weight(20, Status::Healthy);
    bench.judge(Status::Unhealthy);
    assert_eq!(
        remarks(&bench),
        [
            "priority 100 became 120: check nginx +20: said so",
            "priority 120 became 100: check nginx out of service: said so",
        ]
    );
}

/// A router that tracks a hundred checks with this weight, of which all but the last have said that all is well.
fn with_a_hundred_checks(weight: Option<i16>) -> Bench {
    let track = (0..100).map(|number| Track {
        check: format!("c{number}"),
        weight,
    });
    let mut bench = Bench::new(RouterSettings {
        track: track.collect(),
        ..router()
    });
    bench.look();
    for number in 0..99 {
        bench.judge_check(
            &format!("c{number}"),
            Status::Healthy,
            WeightChange::Unchanged,
        );
    }
    bench
}

#[test]
fn many_checks_at_a_start_are_a_few_remarks_of_which_the_last_is_how_it_is() {
    let mut bench = with_a_hundred_checks(Some(-1));
    assert_eq!(bench.router().priority.effective, 99);
    let told = remarks(&bench);
    assert_eq!(told.len(), 4, "{told:?}");
    let last = "c7 -1: no report yet, and 92 more";
    assert!(told[0].ends_with(last), "{}", told[0]);
    bench.run_for(SECOND);
    let told = remarks(&bench);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told[4].starts_with("priority 4 became 99: "), "{}", told[4]);
    // What is not so any more by the time is not told.
    for status in [Status::Unhealthy, Status::Healthy] {
        bench.judge_check("c0", status, WeightChange::Unchanged);
    }
    bench.run_for(SECOND);
    assert_eq!(remarks(&bench), told);
}

#[test]
fn many_checks_that_keep_a_router_in_fault_are_a_few_remarks() {
    let mut bench = with_a_hundred_checks(None);
    assert_eq!(bench.state(), RouterState::Fault);
    let told = remarks(&bench);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].ends_with("; and 91 more"), "{}", told[0]);
    bench.run_for(SECOND);
    let told = remarks(&bench);
    let last = "still in fault: check c99: no report yet";
    assert_eq!((told.len(), told[4].as_str()), (5, last));
    // The transition says the rest.
    bench.judge_check("c99", Status::Healthy, WeightChange::Unchanged);
    assert_eq!(bench.state(), RouterState::Backup);
    bench.run_for(SECOND);
    assert_eq!(remarks(&bench), told);
}

#[test]
fn remarks_are_as_many_as_transitions_at_most() {
    let mut bench = with_weight(-20, Status::Healthy);
    bench.run_to_deadline();
    for _ in 0..40 {
        bench.pass(2 * SECOND);
        bench.judge(Status::Unhealthy);
        bench.judge(Status::Healthy);
    }
    let explanation = bench.engine.explain(None).remove(0);
    assert_eq!(explanation.remarks.len(), 32);
    assert_eq!(explanation.remarks[31].at, bench.now);
    assert_eq!(explanation.transitions.len(), 2);
}

#[test]
fn the_cause_of_a_fault_goes_with_the_fault() {
    let mut bench = Bench::backup(router());
    bench.set_link(false);
    bench.input(Input::LinkGone(INDEX));
    let router = bench.router();
    assert_eq!(router.faults, ["the interface is missing"]);
    assert_eq!(router.cause, "the interface is missing");
    assert_eq!(
        remarks(&bench),
        ["still in fault: the interface is missing"]
    );
    bench.look();
    assert_eq!(bench.router().cause, "no longer: the interface is missing");
}

#[test]
fn a_fault_besides_does_not_change_the_cause() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    bench.judge(Status::Healthy);
    bench.set_link(false);
    bench.judge(Status::Unhealthy);
    let router = bench.router();
    assert_eq!(router.cause, "the interface is down or has no carrier");
    assert_eq!(router.faults.len(), 2);
}

#[test]
fn a_reload_that_makes_a_check_a_condition_is_named() {
    let mut bench = Bench::new(tracking(Some(-20)));
    bench.look();
    bench.judge(Status::Unhealthy);
    bench.run_to_deadline();
    assert_eq!(bench.state(), RouterState::Active);
    bench.reconfigure(tracking(None));
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(
        bench.router().cause,
        "check nginx: said so; the configuration was reloaded"
    );
    bench.reconfigure(router());
    assert_eq!(
        bench.router().cause,
        "no longer: check nginx: said so; the configuration was reloaded"
    );
    // What comes later has other causes.
    bench.set_link(false);
    let fault = Fault::LinkDown;
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
}

#[test]
fn a_peer_is_shown_with_when_it_was_heard_and_goes_after_ten_minutes() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    let heard = bench.wall();
    bench.hear(GREATER, 200);
    bench.pass(600 * SECOND - Duration::from_millis(1));
    let peer = bench.router().peer.expect("a peer");
    assert_eq!(peer.heard_unix_ms, heard);
    assert_eq!(bench.router().active_router, Some(GREATER));
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.router().peer, None);
    assert_eq!(bench.router().active_router, None);
    assert_eq!(bench.router().counters.received, 1);
}

#[test]
fn a_weight_is_not_compared_with_a_peer_that_is_gone() {
    let mut bench = with_weight(-5, Status::Healthy);
    bench.hear(LOWER, 90);
    assert_eq!(bench.router().warnings.len(), 1);
    bench.pass(600 * SECOND);
    assert!(bench.router().warnings.is_empty());
}

#[test]
fn a_warning_of_rejected_packets_goes_ten_minutes_after_the_last() {
    let mut bench = Bench::backup(router());
    for _ in 0..2 {
        bench.hear(OWN, 200);
        bench.pass(600 * SECOND - Duration::from_nanos(1));
        assert_eq!(bench.router().warnings.len(), 1);
    }
    bench.pass(Duration::from_nanos(1));
    assert!(bench.router().warnings.is_empty());
    assert_eq!(bench.router().counters.rejected["own-address"], 2);
}
