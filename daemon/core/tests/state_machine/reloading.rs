//! Another configuration while a router is at work.

use std::num::NonZeroU8;

use mainstay_core::event::RouterState;
use mainstay_core::settings::RouterSettings;

use crate::bench::*;

fn with_id(id: u8) -> RouterSettings {
    RouterSettings {
        id: NonZeroU8::new(id).expect("not zero"),
        ..router()
    }
}

#[test]
fn a_router_with_another_id_takes_the_addresses_over_without_a_gap() {
    let mut bench = Bench::active(router());
    bench.reconfigure(with_id(52));
    assert!(bench.holds());
    for _ in 0..30 {
        bench.run_to_deadline();
        assert!(bench.holds());
        assert!(bench.notices().iter().all(|notice| !notice.loud));
    }
    assert_eq!(bench.router().id, 52);
    assert_eq!(bench.state(), RouterState::Active);
}

#[test]
fn addresses_that_two_routers_have_go_with_the_last_of_them() {
    let mut bench = Bench::active(router());
    bench.reconfigure(with_id(52));
    bench.run_for(10 * SECOND);
    bench.stop();
    bench.run_for(10 * SECOND);
    assert!(bench.engine.stopped());
    assert!(!bench.holds());
}

#[test]
fn a_reload_while_the_daemon_stops_changes_nothing() {
    let mut bench = Bench::active(router());
    bench.stop();
    bench.reconfigure(with_id(52));
    bench.run_for(20 * SECOND);
    assert!(bench.engine.stopped());
    assert!(!bench.holds());
}
