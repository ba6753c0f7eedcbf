//! Section 6.4.1.

use mainstay_core::action::Effect;
use mainstay_core::event::{Cause, RouterState};

use crate::bench::*;

#[test]
fn v3_35_startup_with_priority_255_advertises_and_becomes_active() {
    let mut bench = Bench::new(with_priority(255));
    bench.look();
    assert_eq!(bench.state(), RouterState::Active);
    assert_eq!(bench.sent(), [255]);
    assert!(bench.holds());
    assert_eq!(bench.causes(), [Cause::Owner]);
    assert_eq!(bench.wait(), Some(SECOND));
}

#[test]
fn v3_36_startup_with_a_lower_priority_waits_as_backup() {
    for priority in [1, 100, 254] {
        let mut bench = Bench::new(with_priority(priority));
        bench.look();
        assert_eq!(bench.state(), RouterState::Backup);
        assert_eq!(bench.sent(), []);
        assert!(!bench.holds());
        assert_eq!(bench.causes(), [Cause::Startup]);
        assert_eq!(bench.wait(), Some(down(priority)));
    }
}

#[test]
fn v3_65_nothing_is_decided_before_the_socket_is_open() {
    let mut bench = Bench::new(router());
    bench.silent = true;
    bench.look();
    assert_eq!(bench.state(), RouterState::Initialize);
    assert_eq!(bench.wait(), None);
    assert!(matches!(&bench.effects[..], [Effect::Listen { ids, .. }] if ids == &[51]));
    bench.answer_all();
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn advertisements_and_time_do_nothing_in_initialize() {
    let mut bench = Bench::new(router());
    for _ in 0..3 {
        bench.hear(GREATER, 200);
        assert!(bench.effects.is_empty());
        bench.pass(10 * SECOND);
        bench.tick();
        assert!(bench.effects.is_empty());
    }
    assert_eq!(bench.state(), RouterState::Initialize);
}

#[test]
fn a_shutdown_in_initialize_ends_with_the_first_look() {
    let mut bench = Bench::new(router());
    bench.stop();
    assert_eq!(bench.sent(), []);
    assert!(!bench.engine.stopped());
    bench.look();
    assert!(bench.engine.stopped());
}
