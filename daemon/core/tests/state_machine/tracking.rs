//! What checks do to a router.

use std::time::Duration;

use mainstay_core::event::{Cause, Fault, RouterState};
use mainstay_core::input::{Input, Outcome, Status, Verdict, WeightChange};
use mainstay_core::settings::{RouterSettings, Track};
use mainstay_core::status::CheckState;

use crate::bench::*;

fn backup_with(weight: Option<i16>, status: Status) -> Bench {
    let mut bench = Bench::new(tracking(weight));
    bench.look();
    bench.judge(status);
    bench
}

#[test]
fn a_check_that_has_never_reported_keeps_the_router_out() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.router().faults, ["check nginx: no report yet"]);
    bench.judge(Status::Healthy);
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn a_weight_counts_in_the_priority_and_in_the_timer() {
    for (weight, status, effective) in [
        (-20, Status::Healthy, 100),
        (-20, Status::Degraded, 100),
        (-20, Status::Unhealthy, 80),
        (20, Status::Healthy, 120),
        (20, Status::Unhealthy, 100),
        (-253, Status::Unhealthy, 1),
        (253, Status::Healthy, 254),
    ] {
        let bench = backup_with(Some(weight), status);
        assert_eq!(bench.router().priority.base, 100);
        assert_eq!(bench.router().priority.effective, effective);
        assert_eq!(bench.state(), RouterState::Backup);
        assert_eq!(bench.wait(), Some(down(effective)), "{weight} {status:?}");
    }
}

#[test]
fn v3_46_a_lowered_priority_no_longer_preempts() {
    let mut bench = backup_with(Some(-20), Status::Unhealthy);
    bench.pass(SECOND);
    bench.hear(LOWER, 90);
    assert_eq!(bench.wait(), Some(down(80)));
    bench.judge(Status::Healthy);
    bench.pass(SECOND);
    bench.hear(LOWER, 90);
    assert_eq!(bench.wait(), Some(down(100) - SECOND));
}

/// About to preempt a router that was heard every second, half a second ago last: its next
/// advertisement comes when the wait is over.
fn about_to_preempt(mut bench: Bench, priority: u8) -> Bench {
    bench.pass(SECOND * 3 / 4);
    bench.hear(LOWER, priority);
    for _ in 0..2 {
        bench.pass(SECOND);
        bench.hear(LOWER, priority);
    }
    bench.pass(SECOND / 2);
    let wait = down(PRIORITY) - SECOND * 13 / 4;
    assert_eq!(bench.wait(), Some(wait));
    bench
}

#[test]
fn v3_45_a_priority_that_falls_counts_against_what_was_heard_before() {
    // The router has 80 then.
    for (source, heard, stays) in [
        (LOWER, 99, true),
        (LOWER, 81, true),
        (LOWER, 80, true),
        (GREATER, 80, true),
        (LOWER, 79, false),
        (GREATER, 1, false),
    ] {
        let mut bench = backup_with(Some(-20), Status::Healthy);
        bench.pass(2 * SECOND);
        bench.hear(source, heard);
        bench.pass(SECOND / 2);
        bench.judge(Status::Unhealthy);
        assert_eq!(bench.sent(), []);
        let from = if stays { SECOND / 2 } else { 5 * SECOND / 2 };
        assert_eq!(bench.wait(), Some(down(80) - from), "{source} {heard}");
    }
}

#[test]
fn v3_45_a_router_whose_priority_falls_while_it_waits_to_preempt_stays_backup() {
    let bench = backup_with(Some(-20), Status::Healthy);
    let mut bench = about_to_preempt(bench, 90);
    bench.judge(Status::Unhealthy);
    for _ in 0..10 {
        bench.run_for(SECOND / 2);
        assert_eq!(bench.state(), RouterState::Backup);
        bench.hear(LOWER, 90);
        bench.run_for(SECOND / 2);
        assert_eq!(bench.state(), RouterState::Backup);
        assert!(bench.transitions().is_empty());
    }
    // And preempts one down interval after what it listened to last.
    bench.hear(LOWER, 90);
    bench.judge(Status::Healthy);
    bench.pass(SECOND);
    bench.hear(LOWER, 90);
    assert_eq!(bench.wait(), Some(down(100) - SECOND));
}

#[test]
fn v3_43_a_peer_that_is_gone_is_replaced_one_down_interval_after_it_was_heard() {
    let bench = backup_with(Some(-20), Status::Healthy);
    let mut bench = about_to_preempt(bench, 90);
    bench.judge(Status::Unhealthy);
    bench.pass(down(80) - SECOND / 2 - Duration::from_nanos(1));
    bench.tick();
    assert_eq!(bench.state(), RouterState::Backup);
    bench.run_to_deadline();
    let causes = [
        Cause::ActiveDown { interval: down(80) },
        Cause::LastHeard {
            source: LOWER,
            priority: 90,
            before: down(80),
        },
    ];
    assert_eq!(bench.causes()[..2], causes);
    assert_eq!(bench.sent(), [80]);
}

#[test]
fn v3_43_a_peer_that_was_silent_for_long_when_the_priority_falls_is_replaced_as_before() {
    let mut bench = backup_with(Some(-20), Status::Healthy);
    bench.hear(LOWER, 90);
    bench.pass(down(100) - Duration::from_nanos(1));
    bench.judge(Status::Unhealthy);
    assert_eq!(
        bench.wait(),
        Some(skew(80) - skew(100) + Duration::from_nanos(1))
    );
}

#[test]
fn v3_45_what_was_heard_before_the_wait_does_not_shorten_it() {
    let mut bench = backup_with(Some(-20), Status::Healthy);
    bench.hear(LOWER, 90);
    bench.pass(SECOND);
    bench.set_link(false);
    bench.set_link(true);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.wait(), Some(down(80)));
}

#[test]
fn v3_44_a_peer_that_has_given_up_is_not_listened_to_again() {
    let bench = backup_with(Some(-20), Status::Healthy);
    let mut bench = about_to_preempt(bench, 90);
    bench.hear(LOWER, 0);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.wait(), Some(skew(80)));
}

#[test]
fn v3_44_v3_45_a_priority_that_falls_counts_in_the_skew_after_priority_0_too() {
    let mut bench = backup_with(Some(-20), Status::Healthy);
    bench.hear(GREATER, 0);
    bench.pass(SECOND / 10);
    bench.hear(LOWER, 90);
    bench.pass(SECOND / 10);
    assert_eq!(bench.wait(), Some(skew(100) - SECOND / 5));
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.wait(), Some(down(80) - SECOND / 10));
}

#[test]
fn v3_33_the_interval_is_learnt_from_what_counts_only_since_the_priority_fell() {
    let mut bench = backup_with(Some(-20), Status::Healthy);
    bench.pass(SECOND);
    bench.hear_with(LOWER, 90, 2 * SECOND);
    assert_eq!(bench.wait(), Some(down(100) - SECOND));
    bench.pass(SECOND);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.wait(), Some(2 * down(80) - SECOND));
}

#[test]
fn v3_45_a_reload_that_lowers_the_priority_counts_against_what_was_heard_before() {
    let without_preemption = RouterSettings {
        preempt: false,
        ..router()
    };
    for (settings, now) in [
        (with_priority(80), 80),
        // A check without a report yet.
        (tracking(Some(-40)), 60),
        (without_preemption, 100),
    ] {
        let mut bench = about_to_preempt(Bench::backup(router()), 90);
        bench.reconfigure(settings);
        assert_eq!(bench.router().priority.effective, now);
        assert_eq!(bench.wait(), Some(down(now) - SECOND / 2));
        bench.run_for(SECOND / 2);
        bench.hear(LOWER, 90);
        bench.run_for(3 * SECOND);
        assert_eq!(bench.state(), RouterState::Backup);
    }
}

#[test]
fn v3_45_an_owner_in_backup_listens_to_nobody_else_until_it_is_an_owner_no_more() {
    let mut bench = Bench::backup(router());
    bench.reconfigure(with_priority(255));
    bench.pass(SECOND);
    bench.hear(LOWER, 254);
    bench.pass(SECOND);
    assert_eq!(bench.wait(), Some(down(255) - 2 * SECOND));
    bench.reconfigure(with_priority(90));
    assert_eq!(bench.wait(), Some(down(90) - SECOND));
}

#[test]
fn an_active_router_tells_its_new_priority_at_once_and_loses_by_it() {
    let mut bench = backup_with(Some(-20), Status::Healthy);
    bench.run_for(down(100));
    assert_eq!(bench.state(), RouterState::Active);
    bench.judge(Status::Unhealthy);
    bench.tick();
    assert_eq!(bench.sent(), [80]);
    bench.hear(LOWER, 90);
    assert_eq!(bench.state(), RouterState::Backup);
    let causes = bench.causes();
    assert!(matches!(
        causes[0],
        Cause::BetterAdvertisement {
            priority: 90,
            own: 80,
            ..
        }
    ));
    assert!(
        matches!(&causes[1], Cause::Priority { from: 100, to: 80, reason } if reason.contains("nginx")),
        "{causes:?}"
    );
}

#[test]
fn a_check_without_weight_is_a_fault_that_names_it() {
    let mut bench = backup_with(None, Status::Healthy);
    bench.judge(Status::Unhealthy);
    let fault = Fault::Check {
        check: "nginx".to_owned(),
        message: "said so".to_owned(),
    };
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
    bench.judge(Status::Degraded);
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn an_owner_keeps_its_priority_whatever_a_check_says() {
    let mut settings = tracking(Some(-20));
    settings.priority = with_priority(255).priority;
    let mut bench = Bench::new(settings);
    bench.look();
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.router().priority.effective, 255);
    assert_eq!(bench.state(), RouterState::Active);
}

#[test]
fn a_verdict_may_replace_or_shift_the_weight() {
    for (change, effective) in [
        (WeightChange::Unchanged, 120),
        (WeightChange::Set(7), 107),
        (WeightChange::Offset(-5), 115),
        (WeightChange::Offset(i32::MIN), 1),
    ] {
        let mut bench = backup_with(Some(20), Status::Healthy);
        bench.judge_with(Status::Healthy, change);
        assert_eq!(bench.router().priority.effective, effective, "{change:?}");
    }
}

#[test]
fn a_verdict_that_is_too_old_no_longer_counts() {
    let mut bench = backup_with(None, Status::Healthy);
    bench.run_for(9 * SECOND);
    assert_eq!(bench.status().checks[0].status, CheckState::Healthy);
    bench.run_for(SECOND);
    assert_eq!(bench.status().checks[0].status, CheckState::Unknown);
    assert_eq!(bench.state(), RouterState::Fault);
}

#[test]
fn a_verdict_of_an_earlier_configuration_is_dropped() {
    let mut bench = backup_with(None, Status::Healthy);
    bench.reconfigure(tracking(None));
    let verdict = Verdict {
        check: "nginx".to_owned(),
        generation: 1,
        outcome: Outcome::Fault {
            message: "late".to_owned(),
        },
        took: SECOND,
    };
    bench.input(Input::Verdict(verdict));
    assert!(bench.effects.is_empty());
    assert_eq!(bench.status().checks[0].errors, 0);
}

#[test]
fn a_weight_that_never_hands_over_is_named_once_the_peer_is_known() {
    let mut bench = backup_with(Some(2), Status::Healthy);
    assert!(bench.router().warnings.is_empty());
    bench.hear(LOWER, 0);
    assert!(
        bench.router().warnings.is_empty(),
        "its priority is not known"
    );
    bench.hear(LOWER, 90);
    let warnings = bench.router().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("nginx"), "{warnings:?}");
}

#[test]
fn a_check_that_a_reload_adds_does_not_take_the_active_router_down() {
    let mut bench = Bench::active(router());
    bench.reconfigure(tracking(None));
    assert_eq!(bench.state(), RouterState::Active);
    bench.judge(Status::Healthy);
    assert_eq!(bench.state(), RouterState::Active);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.state(), RouterState::Fault);
}

#[test]
fn a_check_that_a_reload_adds_and_that_never_reports_does_in_the_end() {
    let mut bench = Bench::active(router());
    bench.reconfigure(tracking(None));
    bench.run_for(10 * SECOND);
    assert_eq!(bench.state(), RouterState::Fault);
}

#[test]
fn the_silence_of_a_check_that_a_reload_adds_weighs_on_a_backup_alone() {
    let mut bench = Bench::active(router());
    bench.reconfigure(tracking(Some(-20)));
    assert_eq!(bench.router().priority.effective, 100);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.router().priority.effective, 80);
    let mut bench = Bench::backup(router());
    bench.reconfigure(tracking(Some(-20)));
    assert_eq!(bench.router().priority.effective, 80);
    bench.judge(Status::Healthy);
    assert_eq!(bench.router().priority.effective, 100);
}

#[test]
fn what_a_verdict_says_of_the_weight_counts_only_in_service() {
    for change in [
        WeightChange::Unchanged,
        WeightChange::Set(7),
        WeightChange::Offset(-5),
    ] {
        let mut bench = backup_with(Some(-20), Status::Healthy);
        bench.judge_with(Status::Unhealthy, change);
        assert_eq!(bench.router().priority.effective, 80, "{change:?}");
    }
}

#[test]
fn of_several_weights_only_the_one_that_never_hands_over_is_named() {
    let mut settings = tracking(Some(-20));
    settings.track.push(Track {
        check: "disk".to_owned(),
        weight: Some(-5),
    });
    let mut bench = Bench::new(settings);
    bench.look();
    bench.hear(LOWER, 90);
    let warnings = bench.router().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("disk"), "{warnings:?}");
}

#[test]
fn what_is_told_of_a_check_goes_on_under_its_name_after_a_reload() {
    let mut bench = Bench::new(tracking(Some(-20)));
    bench.look();
    bench.judge(Status::Healthy);
    // Another check of that name.
    bench.replace_checks();
    bench.judge(Status::Unhealthy);
    let changes = [(2, "healthy -> unhealthy".to_owned())];
    assert_eq!(bench.check_changes(), changes);
}

#[test]
fn a_check_is_told_of_when_it_stands_for_something_else_and_once_after_a_start() {
    let mut bench = Bench::new(tracking(Some(-20)));
    bench.look();
    assert_eq!(bench.check_changes(), []);
    bench.judge(Status::Healthy);
    assert_eq!(bench.check_changes(), [(1, "- -> healthy".to_owned())]);
    bench.judge(Status::Healthy);
    assert_eq!(bench.check_changes(), []);
    bench.judge(Status::Degraded);
    let degraded = [(2, "healthy -> degraded".to_owned())];
    assert_eq!(bench.check_changes(), degraded);
    // What a run without an answer means is decided by `on-error`: here nothing.
    bench.err("trap");
    assert_eq!(bench.check_changes(), []);
    bench.judge(Status::Unhealthy);
    let unhealthy = [(3, "degraded -> unhealthy".to_owned())];
    assert_eq!(bench.check_changes(), unhealthy);
}
