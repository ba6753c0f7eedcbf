//! A router that cannot take part, and how it comes back.

use mainstay_core::action::Effect;
use mainstay_core::event::{Cause, Fault, RouterState};
use mainstay_core::input::{Failure, Input, Link, Snapshot, Status};
use mainstay_core::status::Phase;

use crate::bench::*;

#[test]
fn a_missing_interface_is_a_fault_until_it_appears() {
    let mut bench = Bench::new(router());
    bench.input(Input::Snapshot(Snapshot::default()));
    let fault = Fault::InterfaceMissing;
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
    assert_eq!(bench.wait(), None);
    bench.look();
    assert_eq!(bench.state(), RouterState::Backup);
    let fault = Fault::InterfaceMissing;
    assert_eq!(bench.causes(), [Cause::FaultCleared { fault }]);
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
}

#[test]
fn an_interface_that_is_renamed_away_and_back_is_a_fault_meanwhile() {
    let mut bench = Bench::backup(router());
    let other = Link {
        name: "lan0".to_owned(),
        ..link(true)
    };
    bench.input(Input::Link(other));
    assert_eq!(bench.state(), RouterState::Fault);
    bench.set_link(true);
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn v3_18_without_an_own_address_there_is_nothing_to_send_from() {
    let mut bench = Bench::backup(router());
    bench.lose(OWN);
    assert_eq!(bench.state(), RouterState::Fault);
    let fault = Fault::NoPrimaryAddress;
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
}

#[test]
fn a_backup_without_link_waits_for_it_and_counts_from_then() {
    let mut bench = Bench::backup(router());
    bench.set_link(false);
    let fault = Fault::LinkDown;
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.wait(), None);
    bench.pass(100 * SECOND);
    bench.set_link(true);
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
}

#[test]
fn an_active_router_without_link_lets_go_at_once() {
    let mut bench = Bench::active(router());
    bench.set_link(false);
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.phase(), None);
    assert_eq!(bench.sent(), [], "there is no link to send on");
    assert!(!bench.holds());
}

#[test]
fn a_link_that_goes_while_addresses_are_held_for_the_next_ends_that() {
    let mut bench = Bench::active(router());
    bench.stop();
    assert_eq!(bench.phase(), Some(Phase::Releasing));
    bench.set_link(false);
    assert_eq!(bench.phase(), None);
    assert!(!bench.holds());
    assert!(bench.engine.stopped());
}

#[test]
fn an_owner_that_recovers_is_active_at_once() {
    let mut bench = Bench::new(with_priority(255));
    bench.input(Input::Snapshot(Snapshot::default()));
    bench.look();
    assert_eq!(bench.state(), RouterState::Active);
    assert_eq!(bench.sent(), [255]);
}

#[test]
fn a_socket_that_cannot_be_made_is_a_fault() {
    let mut bench = Bench::new(router());
    bench.silent = true;
    bench.look();
    let (action, effect) = bench.unanswered.remove(0);
    assert!(matches!(effect, Effect::Listen { .. }));
    let result = Err(Failure {
        errno: Some(1),
        message: "not permitted".to_owned(),
    });
    bench.input(Input::Completed { action, result });
    let message = "not permitted".to_owned();
    let fault = Fault::Socket { message };
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
}

#[test]
fn v3_42_shutdown_in_fault_ends_at_once() {
    let mut bench = Bench::backup(router());
    bench.set_link(false);
    bench.stop();
    assert_eq!(bench.sent(), []);
    assert!(bench.engine.stopped());
}

#[test]
fn advertisements_and_time_do_nothing_in_fault() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    assert_eq!(bench.state(), RouterState::Fault);
    for priority in [0, 50, 200] {
        bench.hear(GREATER, priority);
        assert!(bench.effects.is_empty(), "{:?}", bench.effects);
        bench.pass(SECOND);
        bench.tick();
        assert!(bench.effects.is_empty(), "{:?}", bench.effects);
    }
    assert_eq!(bench.router().active_router, Some(GREATER));
}

#[test]
fn a_second_fault_is_seen_and_the_last_to_go_brings_the_router_back() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    bench.judge(Status::Healthy);
    assert_eq!(bench.state(), RouterState::Backup);
    bench.judge(Status::Unhealthy);
    bench.set_link(false);
    assert!(bench.transitions().is_empty());
    assert_eq!(bench.router().faults.len(), 2);
    bench.judge(Status::Healthy);
    assert_eq!(bench.state(), RouterState::Fault);
    assert_eq!(bench.router().faults.len(), 1);
    bench.set_link(true);
    assert_eq!(bench.state(), RouterState::Backup);
    assert!(bench.router().faults.is_empty());
}

#[test]
fn a_socket_that_could_not_be_had_is_asked_for_again() {
    let mut bench = Bench::new(router());
    bench.refuses = true;
    bench.look();
    assert_eq!(bench.state(), RouterState::Fault);
    bench.run_for(5 * SECOND);
    assert_eq!(bench.state(), RouterState::Fault);
    bench.refuses = false;
    bench.run_for(SECOND);
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn another_fault_of_a_router_in_fault_is_told() {
    let mut bench = Bench::new(router());
    bench.refuses = true;
    bench.look();
    bench.set_link(false);
    assert_eq!(bench.notices().len(), 1);
    bench.set_link(false);
    assert!(bench.notices().is_empty());
}
