//! Courses of events, told one by one. Nodes are `A`, `B`, `C`, as in the settings' order.

use std::time::Duration;

use mainstay_core::event::{Cause, RouterState};
use mainstay_core::settings::{Authentication, Password, Version};
use mainstay_core::status::Phase;
use mainstay_core::time::Time;

use crate::lan::Lan;
use crate::rfc;
use crate::setup::{Setup, vip};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const SECOND: Duration = Duration::from_secs(1);

/// A LAN that has had the time to settle.
fn settled(setup: Setup) -> Lan {
    let mut lan = Lan::started(setup);
    lan.run_for(10 * SECOND);
    check(&lan);
    lan
}

/// Shows what happened when a property was violated on the way.
fn check(lan: &Lan) {
    if let Some(violation) = &lan.violation {
        panic!("{violation}\n{}", lan.journal.text());
    }
}

/// The one active node, which must have all addresses and be where the client sends to.
fn served_by(lan: &Lan) -> usize {
    check(lan);
    let actives = lan.actives();
    assert_eq!(actives.len(), 1, "{actives:?}\n{}", lan.journal.text());
    let active = actives[0];
    for (index, node) in lan.nodes.iter().enumerate() {
        let expected = if index == active {
            lan.setup.addresses.len()
        } else {
            0
        };
        assert_eq!(node.held(), expected, "n{index}\n{}", lan.journal.text());
    }
    for prefix in &lan.setup.addresses {
        assert_eq!(
            lan.network.neighbour(prefix.address()),
            Some(lan.nodes[active].mac()),
            "{}",
            lan.journal.text()
        );
    }
    active
}

/// When the last transition to active was.
fn taken_over_at(lan: &Lan, node: usize) -> Time {
    let mut takeovers = lan.journal.takeovers();
    let last = takeovers.rfind(|changed| changed.node == node);
    last.map(|changed| changed.at)
        .unwrap_or_else(|| panic!("n{node} never took over\n{}", lan.journal.text()))
}

fn last_sent_at(lan: &Lan, node: usize) -> Time {
    let mut sent = lan.journal.sent.iter();
    sent.rfind(|sent| sent.node == node).expect("it sent").at
}

/// That `after` is as long after `before` as `expected`, but for latencies.
fn assert_after(lan: &Lan, before: Time, after: Time, expected: Duration) {
    let took = after.since(before);
    let slack = lan.setup.slack();
    assert!(
        took >= expected && took <= expected + slack,
        "{took:?} instead of {expected:?}\n{}",
        lan.journal.text()
    );
}

#[test]
fn v3_36_v3_43_of_two_that_start_together_the_better_one_becomes_active_after_its_down_interval() {
    let lan = settled(Setup::of(&[100, 90]));
    assert_eq!(served_by(&lan), A);
    let began = lan.journal.changed[0].at;
    let down = rfc::down(&lan.setup.router(A), 100);
    assert_after(&lan, began, taken_over_at(&lan, A), down);
    assert_eq!(lan.journal.takeovers().count(), 1);
}

#[test]
fn v3_35_an_owner_is_active_at_once() {
    let lan = settled(Setup::of(&[255, 90]));
    assert_eq!(served_by(&lan), A);
    let first = lan.journal.sent[0];
    assert_eq!((first.node, first.priority), (A, 255));
    assert!(first.at.since(lan.journal.changed[0].at) <= lan.setup.slack());
}

#[test]
fn v3_43_a_node_that_is_killed_is_replaced_one_down_interval_after_its_last_advertisement() {
    for version in [Version::V2, Version::V3] {
        let mut lan = settled(Setup {
            version,
            authentication: Authentication::Pass(Password::new("s3cret").unwrap()),
            ..Setup::of(&[100, 90])
        });
        lan.crash(A);
        lan.run_for(5 * SECOND);
        assert!(
            lan.nodes[A].holds_all(),
            "the kernel keeps what a dead process had"
        );
        let down = rfc::down(&lan.setup.router(B), 90);
        assert_after(&lan, last_sent_at(&lan, A), taken_over_at(&lan, B), down);
    }
}

#[test]
fn v3_53_v3_44_a_graceful_stop_hands_over_in_skew_time_and_the_addresses_stay_until_then() {
    let mut lan = settled(Setup::of(&[100, 90]));
    let stopped_at = lan.now();
    lan.stop(A);
    assert_eq!(lan.phase(A), Some(Phase::Releasing));
    let taken = lan.run_until(5 * SECOND, |lan| {
        assert!(lan.nodes[A].holds_all() || lan.nodes[B].is_active());
        lan.nodes[B].holds_all()
    });
    assert!(taken, "{}", lan.journal.text());
    let skew = rfc::skew(&lan.setup.router(B), 90);
    assert_after(&lan, stopped_at, taken_over_at(&lan, B), skew);
    lan.run_for(lan.setup.slack());
    assert_eq!(lan.nodes[A].held(), 0, "{}", lan.journal.text());
    assert!(
        lan.nodes[A].engine.is_none(),
        "it has nothing left to wait for"
    );
    assert_eq!(served_by(&lan), B);
}

#[test]
fn a_graceful_stop_without_anybody_to_take_over_is_bounded() {
    let mut lan = settled(Setup::of(&[100]));
    let stopped_at = lan.now();
    lan.stop(A);
    assert!(lan.run_until(20 * SECOND, |lan| lan.nodes[A].engine.is_none()));
    let longest = rfc::down(&lan.setup.router(A), 1);
    assert!(lan.now().since(stopped_at) <= longest + lan.setup.slack());
    assert!(lan.now().since(stopped_at) >= rfc::down(&lan.setup.router(A), 254));
    assert_eq!(lan.nodes[A].held(), 0);
    check(&lan);
}

#[test]
fn v3_42_a_backup_that_stops_says_nothing() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.stop(B);
    lan.run_for(5 * SECOND);
    assert!(lan.nodes[B].engine.is_none());
    assert!(lan.journal.sent.iter().all(|sent| sent.node == A));
    assert_eq!(served_by(&lan), A);
}

#[test]
fn v3_46_the_better_node_preempts_when_it_comes_back() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.stop(A);
    lan.run_for(5 * SECOND);
    assert_eq!(served_by(&lan), B);
    lan.start(A);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn v3_45_without_preemption_the_better_node_stays_backup_when_it_comes_back() {
    let mut lan = settled(Setup {
        preempt: false,
        ..Setup::of(&[100, 90])
    });
    lan.stop(A);
    lan.run_for(5 * SECOND);
    lan.start(A);
    lan.run_for(30 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert_eq!(lan.nodes[A].state, Some(RouterState::Backup));
}

#[test]
fn v3_56_two_that_were_parted_agree_again_and_the_client_follows() {
    // Who hears whom first differs with the moment of the healing, so that both orders come up.
    for tenth in 0..20 {
        let mut lan = settled(Setup::of(&[100, 90, 80]));
        let parts = [(A, B), (B, A), (A, C), (C, A)];
        for (from, to) in parts {
            lan.network.cut(from, to);
        }
        lan.run_for(10 * SECOND);
        assert_eq!(lan.actives(), [A, B], "{}", lan.journal.text());
        lan.run_for(SECOND / 10 * tenth);
        lan.network.mend_all();
        lan.run_for(2 * SECOND);
        assert_eq!(served_by(&lan), A);
    }
}

#[test]
fn v3_56_nodes_of_the_same_priority_agree_on_the_higher_address() {
    let mut lan = settled(Setup::of(&[100, 100]));
    for (from, to) in [(A, B), (B, A)] {
        lan.network.cut(from, to);
    }
    lan.run_for(10 * SECOND);
    assert_eq!(lan.actives(), [A, B]);
    lan.network.mend_all();
    lan.run_for(2 * SECOND);
    assert_eq!(served_by(&lan), B);
}

#[test]
fn a_one_way_partition_heals() {
    // B no longer hears A, while A goes on to hear B.
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.network.cut(A, B);
    lan.run_for(10 * SECOND);
    assert_eq!(lan.actives(), [A, B]);
    let sent = lan.journal.sent_by(A, lan.now() - 5 * SECOND, lan.now());
    assert!(
        sent.count() <= 5 * 4,
        "each answer to B is an advertisement of A"
    );
    lan.network.mend_all();
    // A tells the neighbours again within a second.
    lan.run_for(2 * SECOND);
    assert_eq!(served_by(&lan), A);
    // A no longer hears B, which hears A: nothing changes.
    lan.network.cut(B, A);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn a_cable_that_is_pulled_and_plugged_in_again_leaves_one_active_node() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.set_link(A, false);
    lan.run_for(SECOND / 100);
    assert_eq!(lan.nodes[A].state, Some(RouterState::Fault));
    assert_eq!(
        lan.nodes[A].held(),
        0,
        "nobody is served on a dead interface"
    );
    lan.run_for(5 * SECOND);
    assert_eq!(served_by(&lan), B);
    lan.set_link(A, true);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn a_paused_node_looks_before_it_speaks() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.pause(A);
    lan.run_for(10 * SECOND);
    assert_eq!(lan.nodes[B].state, Some(RouterState::Active));
    let resumed_at = lan.now();
    lan.resume(A);
    // With the better priority it may well advertise, but not before it has heard B.
    let heard = lan.router(A).unwrap().peer;
    assert_eq!(heard.map(|peer| peer.priority), Some(90));
    lan.run_for(2 * SECOND);
    assert_eq!(served_by(&lan), A);
    assert!(lan.journal.sent_by(A, resumed_at, lan.now()).count() <= 1 + 2 + 3);

    // With the lower priority it only says once that it was active, so that B, which it may have
    // answered ARP against while it was paused, tells the neighbours again.
    let mut lan = settled(Setup {
        preempt: false,
        ..Setup::of(&[90, 100])
    });
    lan.stop(B);
    lan.run_for(5 * SECOND);
    lan.start(B);
    lan.run_for(5 * SECOND);
    assert_eq!(served_by(&lan), A);
    lan.pause(A);
    lan.run_for(10 * SECOND);
    let resumed_at = lan.now();
    lan.resume(A);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert_eq!(lan.journal.sent_by(A, resumed_at, lan.now()).count(), 1);
}

#[test]
fn a_restart_within_the_down_interval_is_no_transition_for_anybody() {
    let mut lan = settled(Setup::of(&[100, 90]));
    let transitions = lan.journal.changed.len();
    lan.crash(A);
    lan.run_for(SECOND);
    lan.start(A);
    assert!(lan.run_until(SECOND, |lan| {
        assert!(lan.nodes[A].holds_all());
        lan.nodes[A].is_active()
    }));
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
    let since: Vec<_> = lan.journal.changed[transitions..].iter().collect();
    assert_eq!(since.len(), 1, "{}", lan.journal.text());
    assert!(matches!(
        since[0].transition.causes[0],
        Cause::Resumed { .. }
    ));
}

#[test]
fn a_restart_after_somebody_took_over_lets_go_at_once() {
    let mut lan = settled(Setup {
        preempt: false,
        ..Setup::of(&[100, 90])
    });
    lan.crash(A);
    lan.run_for(10 * SECOND);
    let restarted_at = lan.now();
    lan.start(A);
    lan.run_for(lan.setup.slack());
    assert_eq!(lan.nodes[A].held(), 0, "{}", lan.journal.text());
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert_eq!(lan.journal.sent_by(A, restarted_at, lan.now()).count(), 0);
}

#[test]
fn a_restart_too_late_of_a_node_alone_waits_like_any_other_start() {
    let mut lan = settled(Setup::of(&[100]));
    lan.crash(A);
    lan.run_for(10 * SECOND);
    let restarted_at = lan.now();
    lan.start(A);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
    let down = rfc::down(&lan.setup.router(A), 100);
    assert_after(&lan, restarted_at, taken_over_at(&lan, A), down);
}

#[test]
fn a_check_without_weight_hands_over_in_skew_time_and_back() {
    let mut setup = Setup::of(&[100, 90]);
    setup.nodes[A].check = Some(None);
    let mut lan = settled(setup);
    assert_eq!(served_by(&lan), A);
    let failed_at = lan.now();
    lan.set_healthy(A, false);
    lan.run_for(2 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert_eq!(lan.nodes[A].state, Some(RouterState::Fault));
    let skew = rfc::skew(&lan.setup.router(B), 90);
    assert_after(&lan, failed_at, taken_over_at(&lan, B), skew);
    lan.set_healthy(A, true);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn a_check_with_weight_hands_over_and_back() {
    let mut setup = Setup::of(&[100, 90]);
    setup.nodes[A].check = Some(Some(-20));
    let mut lan = settled(setup);
    assert_eq!(served_by(&lan), A);
    lan.set_healthy(A, false);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), B);
    lan.set_healthy(A, true);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn v3_45_a_node_whose_check_fails_while_it_waits_to_preempt_stays_backup() {
    for twentieth in 0..40 {
        let mut setup = Setup::of(&[100, 90]);
        setup.nodes[A].check = Some(Some(-20));
        let mut lan = settled(setup);
        lan.set_healthy(A, false);
        lan.run_for(10 * SECOND);
        lan.set_healthy(A, true);
        lan.run_for(2 * SECOND + SECOND / 20 * twentieth);
        let waits = lan.nodes[A].state == Some(RouterState::Backup);
        lan.set_healthy(A, false);
        let takeovers = lan.journal.takeovers().count();
        lan.run_for(10 * SECOND);
        assert_eq!(served_by(&lan), B);
        if waits {
            assert_eq!(
                lan.journal.takeovers().count(),
                takeovers,
                "{}",
                lan.journal.text()
            );
        }
        lan.crash(B);
        lan.run_for(5 * SECOND);
        let down = rfc::down(&lan.setup.router(A), 80);
        assert_after(&lan, last_sent_at(&lan, B), taken_over_at(&lan, A), down);
    }
}

#[test]
fn a_check_that_has_never_reported_keeps_its_router_out() {
    let mut setup = Setup::of(&[100, 90]);
    setup.nodes[A].check = Some(None);
    let mut lan = Lan::started(setup);
    lan.nodes[A].healthy = false;
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert!(lan.journal.takeovers().all(|changed| changed.node == B));
}

#[test]
fn addresses_that_somebody_flushes_are_put_back_together_and_announced() {
    let mut setup = Setup::of(&[100, 90]);
    setup.addresses = vec![vip(100), vip(101), vip(102)];
    let mut lan = settled(setup);
    lan.remove_addresses_by_hand(A);
    assert_eq!(lan.nodes[A].held(), 0);
    assert!(lan.run_until(SECOND / 50, |lan| lan.nodes[A].holds_all()));
    lan.run_for(SECOND);
    assert_eq!(served_by(&lan), A);
    assert_eq!(lan.journal.takeovers().count(), 1);
}

#[test]
fn addresses_that_somebody_keeps_removing_are_put_back_once_a_second() {
    let mut lan = settled(Setup::of(&[100, 90]));
    let until = lan.now() + 10 * SECOND;
    let mut times = 0;
    while lan.now() < until {
        times += u32::from(lan.nodes[A].holds_all());
        lan.remove_addresses_by_hand(A);
        lan.run_for(SECOND / 100);
    }
    assert!((9..=12).contains(&times), "{times} times");
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn a_node_that_cannot_add_its_addresses_resigns_and_another_one_serves() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.stop(A);
    lan.run_for(5 * SECOND);
    lan.nodes[A].kernel.refuses = true;
    lan.start(A);
    lan.run_for(10 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert_eq!(lan.nodes[A].state, Some(RouterState::Fault));
    lan.nodes[A].kernel.refuses = false;
    lan.run_for(30 * SECOND);
    assert_eq!(served_by(&lan), A);
}

#[test]
fn a_new_priority_changes_who_is_active_without_a_restart() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.setup.nodes[B].priority = 110;
    lan.reconfigure(B);
    lan.run_for(5 * SECOND);
    assert_eq!(served_by(&lan), B);
    assert_eq!(lan.journal.takeovers().count(), 2);
}

#[test]
fn without_marks_in_the_kernel_the_manifest_is_evidence_enough() {
    let mut lan = settled(Setup {
        marks: false,
        preempt: false,
        ..Setup::of(&[100, 90])
    });
    lan.crash(A);
    lan.run_for(10 * SECOND);
    lan.start(A);
    lan.run_for(5 * SECOND);
    assert_eq!(served_by(&lan), B);
}

#[test]
fn v2_04_nodes_with_different_intervals_of_version_2_do_not_believe_each_other() {
    let mut lan = Lan::started(Setup {
        version: Version::V2,
        ..Setup::of(&[100, 90])
    });
    lan.setup.interval = 2 * SECOND;
    lan.reconfigure(B);
    lan.run_for(20 * SECOND);
    assert_eq!(lan.actives(), [A, B]);
    for node in [A, B] {
        let router = lan.router(node).unwrap();
        assert!(router.counters.rejected["interval"] > 3);
        assert!(!router.warnings.is_empty());
    }
}

#[test]
fn v3_29_v3_33_a_backup_learns_the_interval_of_the_active_node() {
    let mut lan = settled(Setup::of(&[100, 90]));
    lan.setup.interval = 3 * SECOND;
    lan.reconfigure(A);
    lan.run_for(30 * SECOND);
    assert_eq!(served_by(&lan), A);
    assert_eq!(lan.journal.takeovers().count(), 1, "{}", lan.journal.text());
    lan.crash(A);
    lan.run_for(20 * SECOND);
    let down = rfc::down(&lan.setup.router(B), 90);
    assert_after(&lan, last_sent_at(&lan, A), taken_over_at(&lan, B), down);
}
