//! A kernel that fails, is slow, or has somebody else changing it.

use std::net::Ipv4Addr;
use std::time::Duration;

use mainstay_core::action::{ActionId, Effect};
use mainstay_core::address::InterfaceIndex;
use mainstay_core::event::{Cause, Fault, RouterState};
use mainstay_core::input::{Address, Input, Link, Mark, Snapshot};
use mainstay_core::settings::RouterSettings;

use crate::bench::*;

const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 101);

fn two_addresses() -> RouterSettings {
    RouterSettings {
        addresses: vec![prefix(VIP), prefix(OTHER)],
        ..router()
    }
}

fn added(bench: &Bench) -> usize {
    let batches = bench.effects.iter().filter_map(|effect| match effect {
        Effect::AddAddresses { addresses, .. } => Some(addresses.len()),
        _ => None,
    });
    batches.sum()
}

#[test]
fn all_addresses_are_added_in_one_batch() {
    let mut bench = Bench::backup(two_addresses());
    bench.run_to_deadline();
    let batches: Vec<_> = bench
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::AddAddresses { .. }))
        .collect();
    assert_eq!(batches.len(), 1);
    assert_eq!(added(&bench), 2);
    assert_eq!(bench.announced(), 10);
}

#[test]
fn a_router_that_loses_while_its_addresses_are_being_added_removes_them_afterwards() {
    let mut bench = Bench::backup(router());
    bench.silent = true;
    bench.run_to_deadline();
    bench.hear(GREATER, 200);
    assert_eq!(bench.state(), RouterState::Backup);
    bench.answer_all();
    assert!(!bench.holds());
    assert_eq!(bench.announced(), 0);
}

#[test]
fn a_router_that_wins_while_its_addresses_are_being_removed_adds_them_afterwards() {
    let mut bench = Bench::active(router());
    bench.silent = true;
    bench.hear(GREATER, 200);
    bench.run_for(down(PRIORITY));
    assert_eq!(bench.state(), RouterState::Active);
    bench.answer_all();
    assert!(bench.holds());
    assert_eq!(bench.announced(), 5);
}

#[test]
fn an_address_that_cannot_be_added_is_tried_three_times_before_the_router_resigns() {
    let mut bench = Bench::backup(router());
    bench.refuses = true;
    bench.run_to_deadline();
    assert_eq!(bench.state(), RouterState::Active);
    assert_eq!(bench.wait(), Some(Duration::from_millis(200)));
    bench.run_to_deadline();
    assert_eq!(added(&bench), 1);
    assert_eq!(bench.wait(), Some(Duration::from_millis(400)));
    bench.run_to_deadline();
    let message = "no buffer space".to_owned();
    let fault = Fault::Addresses { message };
    assert_eq!(bench.causes(), [Cause::Fault { fault }]);
    assert_eq!(bench.sent(), [0]);
    assert_eq!(bench.phase(), None);
    assert_eq!(bench.wait(), Some(10 * SECOND));
    // After a rest it is a candidate again.
    bench.refuses = false;
    bench.run_to_deadline();
    assert_eq!(bench.state(), RouterState::Backup);
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
}

#[test]
fn a_failure_that_passes_is_no_fault() {
    let mut bench = Bench::backup(router());
    bench.refuses = true;
    bench.run_to_deadline();
    bench.run_to_deadline();
    bench.refuses = false;
    bench.run_to_deadline();
    assert!(bench.holds());
    assert_eq!(bench.announced(), 5);
    assert_eq!(bench.state(), RouterState::Active);
    // The count begins anew.
    bench.refuses = true;
    bench.lose(VIP);
    bench.run_for(SECOND);
    assert_eq!(bench.state(), RouterState::Active);
}

#[test]
fn an_address_that_is_taken_away_is_put_back_and_announced() {
    let mut bench = Bench::active(router());
    bench.run_for(10 * SECOND);
    bench.lose(VIP);
    assert_eq!(added(&bench), 0);
    assert_eq!(bench.wait(), Some(Duration::from_millis(10)));
    bench.run_to_deadline();
    assert!(bench.holds());
    assert_eq!(bench.announced(), 5);
    assert_eq!(bench.notices().len(), 1);
    assert!(bench.transitions().is_empty());
}

#[test]
fn addresses_that_are_taken_away_one_after_the_other_are_put_back_together() {
    let mut bench = Bench::active(two_addresses());
    bench.lose(VIP);
    bench.pass(Duration::from_millis(9));
    bench.lose(OTHER);
    assert_eq!(added(&bench), 0);
    bench.run_for(Duration::from_millis(1));
    assert_eq!(added(&bench), 2);
    assert_eq!(bench.announced(), 10);
}

#[test]
fn the_second_round_does_not_announce_what_was_taken_away() {
    let mut bench = Bench::active(router());
    bench.refuses = true;
    bench.run_for(5 * SECOND - Duration::from_millis(5));
    bench.lose(VIP);
    bench.run_for(SECOND / 2);
    assert_eq!(bench.announced(), 0);
}

#[test]
fn whoever_keeps_taking_an_address_away_sees_it_once_a_second() {
    let mut bench = Bench::active(router());
    bench.run_for(10 * SECOND);
    let mut times = 0;
    for _ in 0..500 {
        if bench.holds() {
            times += 1;
            bench.lose(VIP);
        }
        bench.run_for(Duration::from_millis(10));
    }
    assert!((5..=6).contains(&times), "{times}");
}

#[test]
fn an_address_of_somebody_else_is_never_removed() {
    let mut bench = Bench::backup(router());
    bench.input(Input::Address(Address {
        interface: INDEX,
        prefix: prefix(VIP),
        mark: Mark::Other,
        secondary: true,
    }));
    assert!(bench.effects.is_empty(), "{:?}", bench.effects);
    assert_eq!(bench.router().warnings.len(), 1);
    bench.run_to_deadline();
    bench.hear(GREATER, 200);
    let removed = bench
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::RemoveAddresses { .. }));
    assert!(!removed, "{:?}", bench.effects);
}

#[test]
fn completions_that_nobody_waits_for_are_harmless() {
    let mut bench = Bench::active(router());
    for number in 0..50 {
        let action = ActionId(number);
        let result = Ok(());
        bench.input(Input::Completed { action, result });
        assert!(bench.effects.is_empty());
    }
}

#[test]
fn new_addresses_are_added_and_announced_and_old_ones_removed() {
    let mut bench = Bench::active(router());
    bench.run_for(10 * SECOND);
    bench.reconfigure(RouterSettings {
        addresses: vec![prefix(OTHER)],
        ..router()
    });
    assert_eq!(bench.addresses, [prefix(OTHER)]);
    assert_eq!(bench.announced(), 5);
    assert_eq!(bench.state(), RouterState::Active);
    assert!(bench.transitions().is_empty());
}

#[test]
fn an_interface_that_was_replaced_gets_the_addresses_and_the_neighbours_are_told() {
    let mut bench = Bench::active(router());
    bench.run_for(10 * SECOND);
    let replaced = InterfaceIndex(7);
    bench.addresses.clear();
    bench.input(Input::Snapshot(Snapshot {
        links: vec![Link {
            index: replaced,
            ..link(true)
        }],
        addresses: vec![Address {
            interface: replaced,
            prefix: prefix(OWN),
            mark: Mark::Other,
            secondary: false,
        }],
    }));
    assert!(bench.holds());
    assert_eq!(bench.announced(), 5);
    assert_eq!(bench.state(), RouterState::Active);
    let on_the_new_one = bench.effects.iter().filter(|effect| match effect {
        Effect::AddAddresses { interface, .. }
        | Effect::Announce { interface, .. }
        | Effect::Listen { interface, .. } => *interface == replaced,
        _ => false,
    });
    assert_eq!(on_the_new_one.count(), 3);
}

#[test]
fn what_is_being_removed_is_not_asked_for_again() {
    let mut bench = Bench::active(router());
    bench.silent = true;
    bench.reconfigure(RouterSettings {
        addresses: vec![prefix(OTHER)],
        ..router()
    });
    for _ in 0..100 {
        bench.set_link(true);
    }
    let removals = bench.unanswered.iter();
    let removals = removals.filter(|(_, effect)| matches!(effect, Effect::RemoveAddresses { .. }));
    assert_eq!(removals.count(), 1);
    bench.answer_all();
    assert_eq!(bench.addresses, [prefix(OTHER)]);
}

#[test]
fn what_could_not_be_removed_is_tried_again_with_the_next_news() {
    let mut bench = Bench::active(router());
    bench.refuses = true;
    bench.reconfigure(RouterSettings {
        addresses: vec![prefix(OTHER)],
        ..router()
    });
    assert!(bench.holds());
    bench.refuses = false;
    bench.set_link(true);
    assert!(!bench.holds());
}

#[test]
fn what_could_not_be_removed_is_tried_again_less_and_less_often() {
    let mut bench = Bench::backup(router());
    bench.run_to_deadline();
    bench.refuses = true;
    bench.reconfigure(RouterSettings {
        addresses: vec![prefix(OTHER)],
        ..router()
    });
    // The address that is wanted cannot be added either: the router is no candidate for a while.
    let mut tries = Vec::new();
    let removes = |effect: &Effect| matches!(effect, Effect::RemoveAddresses { addresses, .. } if addresses == &[prefix(VIP)]);
    let began = bench.now;
    while bench.now.since(began) < 300 * SECOND {
        bench.run_to_deadline();
        if bench.effects.iter().any(removes) {
            tries.push(bench.now.since(began).as_secs());
        }
    }
    assert_eq!(tries, [1, 3, 7, 15, 31, 63, 127, 191, 255]);
    bench.refuses = false;
    bench.run_for(64 * SECOND);
    assert!(!bench.holds());
}

#[test]
fn an_address_that_appears_after_a_reload_has_dropped_it_is_removed() {
    let mut bench = Bench::backup(router());
    bench.silent = true;
    bench.run_to_deadline();
    bench.reconfigure(RouterSettings {
        addresses: vec![prefix(OTHER)],
        ..router()
    });
    bench.answer_all();
    assert_eq!(bench.addresses, [prefix(OTHER)]);
}

#[test]
fn without_marks_an_owners_address_that_was_there_before_stays_its_own() {
    let mut bench = Bench::new(RouterSettings {
        addresses: vec![prefix(OWN)],
        ..with_priority(255)
    });
    let own = Address {
        interface: INDEX,
        prefix: prefix(OWN),
        mark: Mark::Unknown,
        secondary: false,
    };
    bench.input(Input::Snapshot(Snapshot {
        links: vec![link(true)],
        addresses: vec![own],
    }));
    assert_eq!(bench.state(), RouterState::Active);
    assert_eq!(added(&bench), 0);
    assert_eq!(bench.engine.owned_addresses(), []);
    let removes = |effect: &Effect| matches!(effect, Effect::RemoveAddresses { .. });
    bench.stop();
    assert!(!bench.effects.iter().any(removes), "{:?}", bench.effects);
    bench.run_for(20 * SECOND);
    assert!(!bench.effects.iter().any(removes), "{:?}", bench.effects);
    assert!(bench.engine.stopped());
}
