use super::*;

fn settings() -> CheckSettings {
    CheckSettings {
        name: "nginx".to_owned(),
        plugin: "process".to_owned(),
        identity: [7; 32],
        rise: 2,
        fall: 3,
        initial: Initial::Unhealthy,
        on_error: OnError::Keep,
        stale_after: Duration::from_secs(7),
    }
}

fn at(seconds: u64) -> Time {
    Time::from_boot(Duration::from_secs(seconds))
}

fn verdict(outcome: Outcome) -> Verdict {
    Verdict {
        check: "nginx".to_owned(),
        generation: 1,
        outcome,
        took: Duration::from_millis(1),
    }
}

fn report(status: Status) -> Verdict {
    verdict(Outcome::Report {
        status,
        weight: WeightChange::Unchanged,
        message: "said".to_owned(),
    })
}

fn fault() -> Verdict {
    verdict(Outcome::Fault {
        message: "trap".to_owned(),
    })
}

fn in_service(check: &Check) -> bool {
    check.assess().in_service
}

#[test]
fn nothing_is_in_service_before_the_first_report() {
    let check = Check::new(settings(), None, at(0));
    assert!(!in_service(&check));
    assert_eq!(check.status().status, CheckState::Unknown);
}

#[test]
fn the_first_report_decides_at_once() {
    let mut check = Check::new(settings(), None, at(0));
    assert!(check.report(report(Status::Healthy), at(1)));
    assert!(in_service(&check));
    let mut check = Check::new(settings(), None, at(0));
    assert!(check.report(report(Status::Unhealthy), at(1)));
    assert!(!in_service(&check));
}

#[test]
fn it_falls_after_three_and_rises_after_two_in_a_row() {
    let mut check = Check::new(settings(), None, at(0));
    let _ = check.report(report(Status::Healthy), at(1));
    for (status, expected) in [
        (Status::Unhealthy, true),
        (Status::Unhealthy, true),
        (Status::Healthy, true),
        (Status::Unhealthy, true),
        (Status::Unhealthy, true),
        (Status::Unhealthy, false),
        (Status::Healthy, false),
        (Status::Unhealthy, false),
        (Status::Healthy, false),
        (Status::Degraded, true),
    ] {
        let _ = check.report(report(status), at(2));
        assert_eq!(in_service(&check), expected);
    }
}

#[test]
fn a_fault_is_not_unhealthy_with_keep_but_the_last_report_grows_old() {
    let mut check = Check::new(settings(), None, at(0));
    let _ = check.report(report(Status::Healthy), at(1));
    for second in 2..8 {
        assert!(!check.report(fault(), at(second)));
    }
    assert!(!check.expire(at(7)));
    assert!(in_service(&check));
    assert_eq!(check.deadline(), Some(at(8)));
    assert!(check.expire(at(8)));
    assert!(!in_service(&check));
    assert_eq!(check.status().errors, 6);
}

#[test]
fn whoever_was_not_asked_is_not_counted_but_on_error_decides() {
    let mut check = Check::new(
        CheckSettings {
            on_error: OnError::Fail,
            fall: 1,
            ..settings()
        },
        None,
        at(0),
    );
    let _ = check.report(report(Status::Healthy), at(1));
    let mut not_run = verdict(Outcome::NotRun {
        message: "it rests".to_owned(),
    });
    not_run.took = Duration::ZERO;
    assert!(check.report(not_run, at(2)));
    assert!(!in_service(&check));
    let status = check.status();
    assert_eq!((status.runs, status.errors), (1, 0));
    assert_eq!(status.last_run_seconds, 0.001);
    assert_eq!(status.status, CheckState::Error);
    assert_eq!(status.message, "it rests");
}

#[test]
fn with_fail_a_fault_counts_as_unhealthy_and_with_pass_as_healthy() {
    for (on_error, expected) in [(OnError::Fail, false), (OnError::Pass, true)] {
        let mut check = Check::new(
            CheckSettings {
                on_error,
                fall: 1,
                ..settings()
            },
            None,
            at(0),
        );
        let _ = check.report(report(Status::Healthy), at(1));
        let _ = check.report(fault(), at(2));
        assert_eq!(in_service(&check), expected);
        assert_eq!(check.deadline(), Some(at(9)));
        let _ = check.expire(at(9));
        assert_eq!(in_service(&check), expected);
    }
}

#[test]
fn the_weight_of_a_report_goes_with_it() {
    let degraded = |weight| {
        verdict(Outcome::Report {
            status: Status::Degraded,
            weight,
            message: "slow".to_owned(),
        })
    };
    for on_error in [OnError::Keep, OnError::Fail, OnError::Pass] {
        let settings = CheckSettings {
            on_error,
            ..settings()
        };
        let mut check = Check::new(settings, None, at(0));
        assert!(check.report(degraded(WeightChange::Offset(-5)), at(1)));
        assert_eq!(check.status().status, CheckState::Degraded);
        assert_eq!(check.assess().weight, WeightChange::Offset(-5));
        assert!(in_service(&check));
        // Only `keep` keeps it, until it is stale.
        assert_eq!(check.report(fault(), at(2)), on_error != OnError::Keep);
        let kept = on_error == OnError::Keep;
        assert_eq!(check.assess().weight != WeightChange::Unchanged, kept);
        let _ = check.expire(at(60));
        assert_eq!(check.assess().weight, WeightChange::Unchanged);
    }
}

#[test]
fn hooks_are_told_once_after_a_restart_and_when_no_report_counts_any_more() {
    let change = |check: &mut Check| {
        let change = check.change(Realtime(0))?;
        Some((change.sequence, change.from, change.to))
    };
    let mut check = Check::new(settings(), None, at(0));
    assert_eq!(change(&mut check), None);
    let _ = check.report(report(Status::Healthy), at(1));
    let record = check.record().unwrap();

    let mut check = Check::new(settings(), Some(&record), at(2));
    let _ = check.report(report(Status::Healthy), at(3));
    assert_eq!(change(&mut check), Some((1, None, CheckState::Healthy)));
    let _ = check.report(report(Status::Unhealthy), at(4));
    assert_eq!(change(&mut check), None, "it has not fallen");
    let _ = check.expire(at(60));
    let gone = Some((2, Some(CheckState::Healthy), CheckState::Unknown));
    assert_eq!(change(&mut check), gone);
}

#[test]
fn what_is_degraded_is_told_once_until_it_is_over() {
    let mut check = Check::new(settings(), None, at(0));
    let outcome = |status, message: &str| Outcome::Report {
        status,
        weight: WeightChange::Unchanged,
        message: message.to_owned(),
    };
    let told = check.complain(&outcome(Status::Degraded, "lag 5 s"), at(1));
    assert_eq!(told.as_deref(), Some("degraded: lag 5 s"));
    let again = check.complain(&outcome(Status::Degraded, "lag 6 s"), at(100));
    assert_eq!(again, None);
    assert_eq!(check.complain(&outcome(Status::Healthy, ""), at(101)), None);
    assert!(
        check
            .complain(&outcome(Status::Degraded, ""), at(102))
            .is_some()
    );
    assert_eq!(check.complain(&outcome(Status::Healthy, ""), at(103)), None);
    // And no more than once a minute.
    let soon = check.complain(&outcome(Status::Degraded, ""), at(104));
    assert_eq!(soon, None);
}

#[test]
fn healthy_at_first_lasts_until_the_first_report_and_on_error_decides_of_faults() {
    for (on_error, expected) in [
        (OnError::Keep, true),
        (OnError::Fail, false),
        (OnError::Pass, true),
    ] {
        let settings = CheckSettings {
            on_error,
            initial: Initial::Healthy,
            ..settings()
        };
        let mut check = Check::new(settings, None, at(0));
        assert!(in_service(&check));
        let _ = check.report(fault(), at(1));
        assert_eq!(in_service(&check), expected, "{on_error:?}");
    }
}

#[test]
fn a_plugin_that_rests_is_no_error_of_its_own_but_named_when_the_report_is_too_old() {
    let mut check = Check::new(settings(), None, at(0));
    let _ = check.report(report(Status::Healthy), at(1));
    let not_run = verdict(Outcome::NotRun {
        message: "it rests".to_owned(),
    });
    assert_eq!(check.complain(&not_run.outcome, at(2)), None);
    let _ = check.report(not_run, at(2));
    assert!(check.expire(at(8)));
    let status = check.status();
    assert_eq!(status.message, "no report for 7s, last: it rests");
    assert_eq!(status.status, CheckState::Unknown);
}

#[test]
fn mere_silence_names_no_error() {
    let mut check = Check::new(settings(), None, at(0));
    let _ = check.report(fault(), at(0));
    let _ = check.report(report(Status::Healthy), at(1));
    assert!(check.expire(at(8)));
    assert_eq!(check.status().message, "no report for 7s");
}

#[test]
fn after_silence_the_next_report_decides_at_once() {
    let mut check = Check::new(settings(), None, at(0));
    let _ = check.report(report(Status::Healthy), at(1));
    assert!(check.expire(at(8)));
    assert!(check.report(report(Status::Healthy), at(9)));
    assert!(in_service(&check));
}

#[test]
fn a_remembered_report_counts_while_it_is_young() {
    let mut check = Check::new(settings(), None, at(0));
    let _ = check.report(report(Status::Healthy), at(1));
    let record = check.record().unwrap();
    let young = Check::new(settings(), Some(&record), at(7));
    assert!(in_service(&young));
    assert_eq!(young.deadline(), Some(at(8)));
    let old = Check::new(settings(), Some(&record), at(8));
    assert!(!in_service(&old));
}

#[test]
fn probation_ends_with_the_first_report_or_in_time() {
    let mut check = Check::new(settings(), None, at(0)).on_probation(at(0));
    assert!(check.assess().on_probation);
    assert!(check.report(report(Status::Unhealthy), at(1)));
    assert!(!check.assess().on_probation);
    let mut check = Check::new(settings(), None, at(0)).on_probation(at(0));
    assert!(!check.report(fault(), at(1)));
    assert!(check.expire(at(7)));
    assert!(!check.assess().on_probation);
}

#[test]
fn a_long_message_is_cut_between_characters() {
    assert_eq!(cut("aé", 2), "a");
    assert_eq!(cut("aé", 3), "aé");
    assert_eq!(cut("", 3), "");
}

/// A plugin's own fault is no verdict about what it looks at.
#[test]
fn t35_a_check_that_errs_every_second_time_stands_by_its_reports() {
    let mut check = Check::new(settings(), None, at(0));
    assert!(check.report(report(Status::Healthy), at(1)));
    for second in 2..300 {
        let verdict = match second % 2 {
            0 => fault(),
            _ => report(Status::Healthy),
        };
        let _ = check.report(verdict, at(second));
        assert!(in_service(&check), "after {second} s");
    }
}
