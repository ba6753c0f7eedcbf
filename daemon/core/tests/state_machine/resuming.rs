//! A restart of a node that was active (architecture rule 8).

use std::time::Duration;

use mainstay_core::action::Effect;
use mainstay_core::event::{Cause, RouterState};
use mainstay_core::input::Status;
use mainstay_core::settings::RouterSettings;
use mainstay_core::status::Phase;

use crate::bench::*;

#[test]
fn within_the_advertisements_that_may_be_missed_it_goes_on() {
    let nearly = 3 * SECOND - Duration::from_nanos(1);
    for silent_for in [Duration::ZERO, SECOND, nearly] {
        let mut bench = Bench::restarted(router(), silent_for);
        bench.look();
        assert_eq!(bench.state(), RouterState::Initialize);
        assert_eq!(bench.phase(), Some(Phase::Resuming));
        assert_eq!(bench.sent(), [], "it looks before it speaks");
        assert_eq!(bench.wait(), Some(Duration::ZERO));
        bench.tick();
        assert_eq!(bench.state(), RouterState::Active);
        assert_eq!(bench.causes(), [Cause::Resumed { silent_for }]);
        assert_eq!(bench.sent(), [PRIORITY]);
        // The earlier process may have died before it did.
        assert_eq!(bench.announced(), 5);
        assert!(bench.holds());
        assert_eq!(bench.wait(), Some(SECOND));
    }
}

#[test]
fn later_it_lets_go_at_once() {
    for silent_for in [3 * SECOND, 100 * SECOND] {
        let mut bench = Bench::restarted(router(), silent_for);
        bench.look();
        assert_eq!(bench.state(), RouterState::Backup);
        let bound = 3 * SECOND;
        assert_eq!(bench.causes(), [Cause::ResumeTooLate { silent_for, bound }]);
        assert!(!bench.holds());
        assert_eq!(bench.sent(), []);
        assert_eq!(bench.wait(), Some(down(PRIORITY)));
    }
}

#[test]
fn the_bound_follows_the_configured_number_of_advertisements() {
    let settings = RouterSettings {
        down_timer_adverts: 7,
        ..router()
    };
    let mut bench = Bench::restarted(settings, 6 * SECOND);
    bench.look();
    assert_eq!(bench.phase(), Some(Phase::Resuming));
}

#[test]
fn whoever_is_active_meanwhile_is_left_active() {
    for priority in [1, 99, 255] {
        let mut bench = Bench::restarted(router(), SECOND);
        bench.look();
        bench.hear(LOWER, priority);
        assert_eq!(bench.state(), RouterState::Backup);
        assert!(!bench.holds());
        assert_eq!(bench.sent(), []);
        bench.tick();
        assert_eq!(bench.state(), RouterState::Backup);
    }
}

#[test]
fn whoever_stops_meanwhile_is_no_reason_to_let_go() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.look();
    bench.hear(LOWER, 0);
    bench.tick();
    assert_eq!(bench.state(), RouterState::Active);
}

#[test]
fn a_socket_that_takes_too_long_is_too_late_as_well() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.silent = true;
    bench.look();
    assert_eq!(bench.phase(), Some(Phase::Resuming));
    bench.pass(2 * SECOND);
    bench.answer_all();
    bench.tick();
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.phase(), None);
    assert!(!bench.holds());
}

#[test]
fn a_node_that_was_active_but_has_lost_its_addresses_starts_anew() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.addresses.clear();
    bench.look();
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.causes(), [Cause::Startup]);
}

#[test]
fn a_stop_while_it_resumes_hands_over() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.look();
    bench.stop();
    assert_eq!(bench.sent(), [0]);
    assert!(bench.holds());
    bench.hear(LOWER, 50);
    assert!(!bench.holds());
    assert!(bench.engine.stopped());
}

#[test]
fn a_stop_before_it_has_looked_removes_what_was_left() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.silent = true;
    bench.look();
    bench.stop();
    assert!(!bench.engine.stopped());
    bench.answer_all();
    assert!(!bench.holds());
    assert!(bench.engine.stopped());
}

#[test]
fn a_fault_at_the_start_lets_go() {
    let mut bench = Bench::restarted(tracking(None), SECOND);
    bench.look();
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.phase(), None);
    assert!(!bench.holds());
}

#[test]
fn a_fault_while_it_resumes_lets_go() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.look();
    bench.set_link(false);
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.phase(), None);
    assert!(!bench.holds());
    bench.tick();
    assert_eq!(bench.state(), RouterState::Fault);
}

#[test]
fn a_socket_that_never_opens_ends_it() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.silent = true;
    bench.look();
    assert_eq!(bench.phase(), Some(Phase::Resuming));
    assert_eq!(bench.wait(), Some(2 * SECOND));
    bench.run_to_deadline();
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.phase(), None);
    bench.answer_all();
    assert!(!bench.holds());
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn too_late_it_does_not_wait_for_the_socket_to_let_go() {
    let mut bench = Bench::restarted(router(), 10 * SECOND);
    bench.silent = true;
    bench.look();
    let removes = |effect: &&Effect| matches!(effect, Effect::RemoveAddresses { .. });
    assert_eq!(bench.effects.iter().filter(removes).count(), 1);
    bench.answer_all();
    assert!(!bench.holds());
    assert_eq!(bench.state(), RouterState::Backup);
    assert!(matches!(bench.causes()[0], Cause::ResumeTooLate { .. }));
}

#[test]
fn a_verdict_that_comes_before_the_kernel_was_looked_at_decides_nothing_yet() {
    let mut bench = Bench::restarted(tracking(None), SECOND);
    bench.judge(Status::Healthy);
    assert_eq!(bench.state(), RouterState::Initialize);
    assert!(bench.transitions().is_empty());
    bench.look();
    bench.tick();
    assert_eq!(bench.state(), RouterState::Active);
    assert!(bench.holds());
}

#[test]
fn what_is_missing_of_several_addresses_is_put_back_and_announced() {
    let other = prefix("192.168.1.101".parse().unwrap());
    let settings = RouterSettings {
        addresses: vec![prefix(VIP), other],
        ..router()
    };
    let mut bench = Bench::restarted(settings, SECOND);
    bench.look();
    bench.tick();
    assert_eq!(bench.state(), RouterState::Active);
    bench.run_for(SECOND / 10);
    assert_eq!(bench.addresses, [prefix(VIP), other]);
    assert_eq!(bench.announced(), 10);
}

#[test]
fn a_stop_before_the_first_look_still_removes_what_an_earlier_process_left() {
    let mut bench = Bench::restarted(router(), SECOND);
    bench.stop();
    assert!(!bench.engine.stopped());
    bench.look();
    bench.run_for(down(1));
    assert!(bench.engine.stopped());
    assert!(!bench.holds());
    assert!(bench.engine.owned_addresses().is_empty());
}

#[test]
fn what_the_kernel_does_not_let_go_is_still_owned() {
    let mut bench = Bench::active(router());
    bench.refuses = true;
    bench.stop();
    bench.run_for(30 * SECOND);
    assert!(bench.engine.stopped());
    assert_eq!(
        bench.engine.owned_addresses(),
        [("eth0".to_owned(), prefix(VIP))]
    );
}
