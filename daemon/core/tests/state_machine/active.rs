//! Section 6.4.3.

use std::time::Duration;

use mainstay_core::event::{Cause, RouterState};
use mainstay_core::input::Input;
use mainstay_core::settings::{AnnounceSettings, RouterSettings, Version};
use mainstay_core::status::Phase;

use crate::bench::*;

#[test]
fn v3_53_shutdown_announces_priority_0() {
    let mut bench = Bench::active(router());
    bench.stop();
    assert_eq!(bench.sent(), [0]);
    assert_eq!(bench.state(), RouterState::Initialize);
    assert_eq!(bench.phase(), Some(Phase::Releasing));
    assert_eq!(bench.causes(), [Cause::Stop]);
    assert!(bench.holds());
    assert!(!bench.engine.stopped());
}

#[test]
fn v3_54_the_advertisement_timer_advertises_and_starts_again() {
    let mut bench = Bench::active(router());
    for _ in 0..4 {
        assert_eq!(bench.wait(), Some(SECOND));
        bench.run_to_deadline();
        assert_eq!(bench.sent(), [PRIORITY]);
    }
}

#[test]
fn v3_54_a_late_wake_up_does_not_shift_the_rhythm() {
    let mut bench = Bench::active(router());
    bench.pass(SECOND + SECOND / 4);
    bench.tick();
    assert_eq!(bench.sent(), [PRIORITY]);
    assert_eq!(bench.wait(), Some(SECOND * 3 / 4));
}

#[test]
fn v3_54_what_was_overslept_is_not_made_up_for() {
    let mut bench = Bench::active(router());
    bench.pass(SECOND * 7 / 2);
    bench.tick();
    assert_eq!(bench.sent(), [PRIORITY]);
    assert_eq!(bench.wait(), Some(SECOND));
    // Late by an interval to the nanosecond: the next one lies in the future as well.
    bench.pass(2 * SECOND);
    bench.tick();
    assert_eq!(bench.sent(), [PRIORITY]);
    assert_eq!(bench.wait(), Some(SECOND));
}

#[test]
fn v3_55_priority_0_is_answered_at_once() {
    for version in [Version::V2, Version::V3] {
        let mut bench = Bench::active(RouterSettings {
            version,
            ..router()
        });
        bench.pass(SECOND / 2);
        bench.hear(GREATER, 0);
        assert_eq!(bench.sent(), [PRIORITY]);
        assert_eq!(bench.state(), RouterState::Active);
        assert_eq!(bench.wait(), Some(SECOND));
    }
}

#[test]
fn v3_56_who_has_the_higher_priority_or_the_greater_address_wins() {
    for (source, priority, wins) in [
        (LOWER, 101, true),
        (GREATER, 101, true),
        (GREATER, 255, true),
        (GREATER, 100, true),
        (LOWER, 100, false),
        (LOWER, 99, false),
        (GREATER, 99, false),
        (GREATER, 1, false),
    ] {
        let mut bench = Bench::active(router());
        bench.hear(source, priority);
        let state = if wins {
            RouterState::Backup
        } else {
            RouterState::Active
        };
        assert_eq!(bench.state(), state, "{source} {priority}");
        assert_eq!(bench.holds(), !wins, "{source} {priority}");
        if wins {
            let own = PRIORITY;
            let cause = Cause::BetterAdvertisement {
                source,
                priority,
                own,
            };
            assert_eq!(bench.causes(), [cause]);
            assert_eq!(bench.wait(), Some(down(PRIORITY)));
        }
    }
}

#[test]
fn v3_56_addresses_compare_as_unsigned_numbers() {
    // 224 is no unicast address, but 192 against 10 tells a signed comparison all the same.
    let mut bench = Bench::active(router());
    bench.hear("10.255.255.255".parse().unwrap(), PRIORITY);
    assert_eq!(bench.state(), RouterState::Active);
    bench.hear("193.0.0.0".parse().unwrap(), PRIORITY);
    assert_eq!(bench.state(), RouterState::Backup);
}

#[test]
fn v3_56_the_interval_is_learnt_from_the_winner() {
    let mut bench = Bench::active(router());
    bench.hear_with(GREATER, 200, 5 * SECOND);
    assert_eq!(bench.wait(), Some(5 * down(PRIORITY)));
}

#[test]
fn k_04_the_loser_speaks_once_so_that_the_winner_tells_the_neighbours() {
    let mut bench = Bench::active(router());
    bench.hear(GREATER, 200);
    assert_eq!(bench.sent(), [PRIORITY]);
    bench.hear(GREATER, 200);
    assert_eq!(bench.sent(), []);
}

#[test]
fn v3_57_a_losing_advertisement_is_answered_at_once_and_the_neighbours_are_told() {
    let mut bench = Bench::active(router());
    bench.pass(SECOND / 2);
    bench.hear(GREATER, 50);
    assert_eq!(bench.sent(), [PRIORITY]);
    assert_eq!(bench.announced(), 5);
    assert_eq!(bench.wait(), Some(SECOND));
}

#[test]
fn v2_08_a_losing_advertisement_of_version_2_is_not_answered_but_the_neighbours_are_told() {
    let mut bench = Bench::active(RouterSettings {
        version: Version::V2,
        ..router()
    });
    bench.pass(SECOND / 2);
    bench.hear(GREATER, 50);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.announced(), 5);
    assert_eq!(bench.wait(), Some(SECOND / 2));
}

#[test]
fn v3_57_answers_never_become_a_storm() {
    let mut bench = Bench::active(router());
    let mut sent = 0;
    for _ in 0..100 {
        bench.pass(SECOND / 1_000);
        bench.hear(GREATER, 50);
        sent += bench.sent().len();
    }
    assert_eq!(sent, 3);
    bench.run_for(SECOND);
    assert_eq!(bench.sent(), [PRIORITY]);
    bench.hear(GREATER, 50);
    assert_eq!(
        bench.sent(),
        [PRIORITY],
        "the next interval has its own answers"
    );
}

fn announcing_once(advert_interval: Duration) -> Bench {
    Bench::active(RouterSettings {
        advert_interval,
        announce: AnnounceSettings {
            repeat: 2,
            delay: Duration::ZERO,
        },
        ..router()
    })
}

#[test]
fn v3_57_the_neighbours_are_told_again_once_a_second_and_the_last_word_is_ours() {
    let mut bench = announcing_once(10 * SECOND);
    bench.hear(GREATER, 50);
    assert_eq!(bench.announced(), 2);
    for _ in 0..5 {
        bench.pass(SECOND / 10);
        bench.hear(GREATER, 50);
        assert_eq!(bench.announced(), 0);
    }
    bench.run_for(SECOND / 2 - Duration::from_nanos(1));
    assert_eq!(bench.announced(), 0);
    bench.run_for(Duration::from_nanos(1));
    assert_eq!(bench.announced(), 2);
    bench.run_for(60 * SECOND);
    assert_eq!(bench.announced(), 0);
    bench.hear(GREATER, 50);
    assert_eq!(bench.announced(), 2);
}

#[test]
fn v3_57_with_short_intervals_the_neighbours_are_told_again_once_per_down_interval() {
    let mut bench = announcing_once(SECOND / 100);
    bench.hear(GREATER, 50);
    bench.hear(GREATER, 50);
    assert_eq!(bench.announced(), 0);
    bench.run_for(down(PRIORITY) / 100);
    assert_eq!(bench.announced(), 2);
}

#[test]
fn v3_56_whoever_lost_meanwhile_tells_nobody_again() {
    let mut bench = announcing_once(SECOND);
    bench.hear(GREATER, 50);
    bench.hear(GREATER, 50);
    bench.hear(GREATER, 200);
    assert_eq!(bench.wait(), Some(down(PRIORITY)));
    bench.run_for(SECOND);
    assert_eq!(bench.announced(), 0);

    let mut bench = announcing_once(SECOND);
    bench.hear(GREATER, 50);
    bench.hear(GREATER, 50);
    bench.stop();
    bench.run_for(SECOND);
    assert_eq!(bench.announced(), 0);
}

#[test]
fn v3_57_nobody_is_told_of_addresses_that_are_not_there_yet() {
    let mut bench = Bench::backup(router());
    bench.silent = true;
    bench.run_to_deadline();
    bench.hear(GREATER, 50);
    assert_eq!(bench.announced(), 0);
}

#[test]
fn v3_65_a_packet_from_the_own_address_is_counted_and_nothing_else() {
    let mut bench = Bench::active(router());
    bench.hear(OWN, 200);
    assert_eq!(bench.state(), RouterState::Active);
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.router().counters.rejected["own-address"], 1);
    assert_eq!(bench.router().peer, None);
}

#[test]
fn a_packet_that_is_rejected_is_told_once_a_minute() {
    let mut bench = Bench::active(router());
    let mut told = Vec::new();
    for _ in 0..130 {
        let mut packet = bench.packet(GREATER, 200, SECOND);
        packet.hop_limit = 64;
        bench.input(Input::Packet(packet));
        told.push(bench.notices().len());
        bench.run_for(SECOND);
    }
    assert_eq!(told.iter().sum::<usize>(), 3);
    assert_eq!((told[0], told[60], told[120]), (1, 1, 1));
    assert_eq!(bench.router().counters.rejected["hop-limit"], 130);
    assert_eq!(bench.state(), RouterState::Active);
}

#[test]
fn k_02_the_neighbours_are_told_five_times_and_again_after_five_seconds() {
    let mut bench = Bench::active(router());
    assert_eq!(bench.announced(), 5);
    bench.run_for(5 * SECOND - Duration::from_nanos(1));
    assert_eq!(bench.announced(), 0);
    bench.run_for(Duration::from_nanos(1));
    assert_eq!(bench.announced(), 5);
    bench.run_for(60 * SECOND);
    assert_eq!(bench.announced(), 0);
}

#[test]
fn a_new_priority_is_told_at_once() {
    let mut bench = Bench::active(router());
    bench.pass(SECOND / 2);
    bench.reconfigure(with_priority(150));
    assert_eq!(bench.wait(), Some(Duration::ZERO));
    bench.tick();
    assert_eq!(bench.sent(), [150]);
    assert_eq!(bench.state(), RouterState::Active);
}

#[test]
fn the_same_configuration_again_changes_nothing() {
    let mut bench = Bench::active(router());
    bench.pass(SECOND / 2);
    bench.reconfigure(router());
    assert!(bench.effects.is_empty(), "{:?}", bench.effects);
    assert_eq!(bench.wait(), Some(SECOND / 2));
}

#[test]
fn another_name_is_no_other_router() {
    let mut bench = Bench::active(router());
    bench.reconfigure(RouterSettings {
        name: "renamed".to_owned(),
        ..router()
    });
    assert_eq!(bench.router().name, "renamed");
    assert_eq!(bench.state(), RouterState::Active);
    assert!(bench.transitions().is_empty());
}

#[test]
fn a_router_that_is_removed_from_the_configuration_hands_over_first() {
    let mut bench = Bench::active(router());
    bench.remove_router();
    assert_eq!(bench.sent(), [0]);
    assert!(bench.holds());
    bench.hear(LOWER, 50);
    assert!(!bench.holds());
    assert!(bench.status().routers.is_empty());
}
