//! Addresses that are held after priority 0 was announced (architecture rule 6).

use std::time::Duration;

use mainstay_core::event::RouterState;
use mainstay_core::input::Status;
use mainstay_core::settings::RouterSettings;
use mainstay_core::status::Phase;

use crate::bench::*;

fn releasing() -> Bench {
    let mut bench = Bench::active(router());
    bench.stop();
    bench
}

#[test]
fn the_next_active_router_ends_it_whatever_its_priority() {
    for priority in [1, 99, 255] {
        let mut bench = releasing();
        bench.pass(SECOND / 4);
        bench.hear(LOWER, priority);
        assert_eq!(bench.phase(), None);
        assert!(!bench.holds());
        assert!(bench.engine.stopped());
    }
}

#[test]
fn another_router_that_stops_does_not_end_it() {
    let mut bench = releasing();
    bench.hear(LOWER, 0);
    assert_eq!(bench.phase(), Some(Phase::Releasing));
    assert!(bench.holds());
}

#[test]
fn it_ends_when_a_backup_of_the_lowest_priority_would_have_taken_over() {
    let mut bench = releasing();
    assert_eq!(bench.wait(), Some(down(1)));
    bench.run_for(down(1) - Duration::from_nanos(1));
    assert!(bench.holds());
    bench.run_for(Duration::from_nanos(1));
    assert!(!bench.holds());
    assert!(bench.engine.stopped());
}

#[test]
fn it_never_lasts_longer_than_fifteen_seconds() {
    let mut bench = Bench::active(RouterSettings {
        advert_interval: 40 * SECOND,
        ..router()
    });
    bench.stop();
    assert_eq!(bench.wait(), Some(15 * SECOND));
}

#[test]
fn nothing_is_sent_or_put_back_meanwhile() {
    let mut bench = releasing();
    bench.lose(VIP);
    bench.run_for(2 * SECOND);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.announced(), 0);
    assert!(!bench.holds());
}

#[test]
fn stopped_is_only_said_when_the_kernel_has_removed_the_addresses() {
    let mut bench = releasing();
    bench.silent = true;
    bench.hear(LOWER, 50);
    assert!(!bench.engine.stopped());
    bench.answer_all();
    assert!(bench.engine.stopped());
}

#[test]
fn a_stop_that_the_kernel_does_not_let_happen_ends_after_three_tries() {
    let mut bench = releasing();
    bench.refuses = true;
    bench.hear(LOWER, 50);
    let mut tries = 1;
    while !bench.engine.stopped() {
        bench.run_to_deadline();
        tries += 1;
    }
    assert_eq!(tries, 3);
    assert_eq!(bench.wait(), None);
}

#[test]
fn a_backup_that_the_kernel_does_not_let_go_tries_without_end() {
    let mut bench = Bench::active(router());
    for second in 0..60 {
        // Long enough for the longest pause between two tries.
        bench.refuses = second < 50;
        bench.hear(GREATER, 200);
        assert_eq!(bench.state(), RouterState::Backup);
        assert!(bench.holds() || second > 50);
        bench.run_for(SECOND);
    }
    assert!(!bench.holds());
}

#[test]
fn a_check_that_fails_while_the_daemon_stops_changes_nothing() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    bench.judge(Status::Healthy);
    bench.run_for(down(PRIORITY));
    bench.stop();
    bench.judge(Status::Unhealthy);
    assert!(bench.transitions().is_empty());
    assert_eq!(bench.state(), RouterState::Initialize);
    assert!(bench.holds());
}

#[test]
fn a_router_in_fault_by_a_check_keeps_its_addresses_until_another_is_active() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    bench.judge(Status::Healthy);
    bench.run_for(down(PRIORITY));
    assert_eq!(bench.state(), RouterState::Active);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.phase(), Some(Phase::Releasing));
    assert_eq!(bench.sent(), [0]);
    bench.hear(LOWER, 0);
    assert!(bench.holds());
    bench.hear(LOWER, 50);
    assert_eq!(bench.phase(), None);
    assert!(!bench.holds());
}

#[test]
fn a_router_that_recovers_meanwhile_keeps_them_as_backup_until_then() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    bench.judge(Status::Healthy);
    bench.run_for(down(PRIORITY));
    bench.judge(Status::Unhealthy);
    bench.judge(Status::Healthy);
    assert_eq!(bench.state(), RouterState::Backup);
    bench.hear(LOWER, 0);
    assert!(bench.holds());
    bench.hear(LOWER, 50);
    assert!(!bench.holds());
    // Preempting, it takes over again.
    bench.run_for(down(PRIORITY));
    assert_eq!(bench.state(), RouterState::Active);
    assert!(bench.holds());
}

#[test]
fn a_router_that_is_configured_again_before_it_was_gone_goes_on_as_backup() {
    let mut bench = Bench::active(router());
    bench.remove_router();
    bench.reconfigure(router());
    assert_eq!(bench.state(), RouterState::Backup);
    assert!(bench.holds());
    bench.run_for(down(PRIORITY));
    assert_eq!(bench.state(), RouterState::Active);
    assert!(bench.holds());
}

#[test]
fn a_second_stop_changes_nothing() {
    let mut bench = releasing();
    bench.stop();
    assert!(bench.effects.is_empty(), "{:?}", bench.effects);
    assert!(bench.holds());
}

#[test]
fn a_router_that_was_removed_is_there_until_the_kernel_has_removed_its_addresses() {
    let mut bench = Bench::active(router());
    bench.remove_router();
    bench.silent = true;
    bench.hear(LOWER, 50);
    assert_eq!(bench.status().routers.len(), 1);
    bench.answer_all();
    assert!(bench.status().routers.is_empty());
}
