//! Section 6.4.2.

use std::time::Duration;

use mainstay_core::action::Effect;
use mainstay_core::event::{Cause, RouterState};
use mainstay_core::input::Input;
use mainstay_core::settings::{RouterSettings, Version};

use crate::bench::*;

#[test]
fn v3_42_shutdown_says_nothing_and_ends() {
    let mut bench = Bench::backup(router());
    bench.stop();
    assert_eq!(bench.state(), RouterState::Initialize);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.causes(), [Cause::Stop]);
    assert_eq!(bench.wait(), None);
    assert!(bench.engine.stopped());
}

#[test]
fn v3_43_when_the_down_timer_fires_it_advertises_then_adds_then_announces() {
    let mut bench = Bench::backup(router());
    bench.pass(down(PRIORITY) - Duration::from_nanos(1));
    bench.tick();
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.sent(), []);
    bench.pass(Duration::from_nanos(1));
    bench.tick();
    assert_eq!(bench.state(), RouterState::Active);
    let order: Vec<&str> = bench
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { .. } => Some("advertisement"),
            Effect::AddAddresses { .. } => Some("addresses"),
            Effect::Announce { .. } => Some("gratuitous ARP"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["advertisement", "addresses", "gratuitous ARP"]);
    let interval = down(PRIORITY);
    assert_eq!(
        bench.causes(),
        [Cause::ActiveDown { interval }, Cause::NeverHeard]
    );
    assert_eq!(bench.wait(), Some(SECOND));
}

#[test]
fn v3_43_the_gratuitous_arps_wait_for_the_addresses() {
    let mut bench = Bench::backup(router());
    bench.silent = true;
    bench.run_to_deadline();
    assert_eq!(bench.announced(), 0);
    bench.answer_all();
    assert_eq!(bench.announced(), 5);
}

#[test]
fn v3_44_priority_0_leaves_only_the_skew() {
    let mut bench = Bench::backup(router());
    bench.pass(SECOND);
    bench.hear(LOWER, 0);
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.wait(), Some(skew(PRIORITY)));
    bench.run_to_deadline();
    let interval = skew(PRIORITY);
    let before = interval;
    let source = LOWER;
    let priority = 0;
    assert_eq!(
        bench.causes(),
        [
            Cause::ActiveDown { interval },
            Cause::LastHeard {
                source,
                priority,
                before
            }
        ]
    );
}

#[test]
fn v3_45_an_advertisement_of_at_least_the_own_priority_restarts_the_timer() {
    for (source, priority) in [(LOWER, 100), (GREATER, 100), (LOWER, 101), (LOWER, 255)] {
        let mut bench = Bench::backup(router());
        bench.pass(2 * SECOND);
        bench.hear(source, priority);
        assert_eq!(bench.sent(), []);
        assert_eq!(bench.wait(), Some(down(PRIORITY)), "{source} {priority}");
    }
}

#[test]
fn v3_45_without_preemption_any_advertisement_restarts_the_timer() {
    let mut bench = Bench::backup(RouterSettings {
        preempt: false,
        ..router()
    });
    bench.pass(2 * SECOND);
    bench.hear(LOWER, 1);
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
}

#[test]
fn v3_46_with_preemption_a_lower_priority_does_not_stop_the_timer() {
    for priority in [1, 99] {
        let mut bench = Bench::backup(router());
        bench.pass(2 * SECOND);
        bench.hear(GREATER, priority);
        assert_eq!(bench.sent(), []);
        assert_eq!(bench.wait(), Some(down(PRIORITY) - 2 * SECOND));
        bench.run_to_deadline();
        assert_eq!(bench.state(), RouterState::Active);
    }
}

#[test]
fn v3_33_the_interval_is_learnt_from_the_active_router() {
    let mut bench = Bench::backup(router());
    bench.hear_with(GREATER, 200, 5 * SECOND);
    assert_eq!(bench.wait(), Some(5 * down(PRIORITY)));
    bench.hear_with(GREATER, 200, SECOND / 100);
    assert_eq!(bench.wait(), Some(down(PRIORITY) / 100));
    // One of a lower priority teaches nothing.
    bench.hear_with(LOWER, 50, 20 * SECOND);
    assert_eq!(bench.wait(), Some(down(PRIORITY) / 100));
}

#[test]
fn v3_33_the_own_interval_counts_again_after_a_turn_as_active() {
    let mut bench = Bench::backup(router());
    bench.hear_with(GREATER, 200, 5 * SECOND);
    bench.run_to_deadline();
    assert_eq!(bench.state(), RouterState::Active);
    bench.hear(GREATER, 200);
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
}

#[test]
fn v3_44_the_skew_after_priority_0_is_of_the_learnt_interval() {
    let mut bench = Bench::backup(router());
    bench.hear_with(GREATER, 200, 10 * SECOND);
    bench.hear_with(GREATER, 0, 10 * SECOND);
    assert_eq!(bench.wait(), Some(10 * skew(PRIORITY)));
}

#[test]
fn v2_07_the_skew_of_version_2_is_in_seconds_whatever_the_interval() {
    let mut bench = Bench::backup(RouterSettings {
        version: Version::V2,
        advert_interval: 5 * SECOND,
        ..router()
    });
    assert_eq!(bench.wait(), Some(15 * SECOND + skew(PRIORITY)));
    bench.hear(GREATER, 0);
    assert_eq!(bench.wait(), Some(skew(PRIORITY)));
}

#[test]
fn v3_34_the_number_of_missed_advertisements_is_as_configured() {
    let bench = Bench::backup(RouterSettings {
        down_timer_adverts: 7,
        ..router()
    });
    assert_eq!(bench.wait(), Some(7 * SECOND + skew(PRIORITY)));
}

#[test]
fn the_timer_counts_from_when_the_kernel_received_and_never_from_the_future() {
    let mut bench = Bench::backup(router());
    bench.pass(SECOND);
    let mut packet = bench.packet(GREATER, 200, SECOND);
    packet.received_at = bench.now - SECOND / 2;
    bench.input(Input::Packet(packet.clone()));
    assert_eq!(bench.wait(), Some(down(PRIORITY) - SECOND / 2));
    packet.received_at = bench.now + 100 * SECOND;
    bench.input(Input::Packet(packet));
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
}

#[test]
fn an_overslept_backup_that_finds_an_advertisement_stays_backup() {
    let mut bench = Bench::backup(router());
    bench.pass(10 * SECOND);
    bench.hear(GREATER, 200);
    bench.tick();
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_new_priority_moves_the_running_timer() {
    let mut bench = Bench::backup(router());
    bench.pass(SECOND);
    bench.reconfigure(with_priority(200));
    assert_eq!(bench.wait(), Some(down(200) - SECOND));
}

#[test]
fn a_router_that_is_removed_from_the_configuration_is_gone() {
    let mut bench = Bench::backup(router());
    bench.remove_router();
    assert_eq!(bench.causes(), [Cause::Removed]);
    assert!(bench.status().routers.is_empty());
    assert_eq!(bench.wait(), None);
    assert!(
        bench
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Listen { ids, .. } if ids.is_empty()))
    );
}

#[test]
fn v3_33_a_reload_forgets_the_learnt_interval_only_when_it_changes_the_own_one() {
    let mut bench = Bench::backup(router());
    bench.hear_with(GREATER, 200, 5 * SECOND);
    bench.reconfigure(RouterSettings {
        name: "renamed".to_owned(),
        ..router()
    });
    assert_eq!(bench.wait(), Some(5 * down(PRIORITY)));
    bench.reconfigure(RouterSettings {
        advert_interval: 2 * SECOND,
        ..router()
    });
    assert_eq!(bench.wait(), Some(2 * down(PRIORITY)));
}
