//! What people see.

use mainstay_core::action::Effect;
use mainstay_core::address::InterfaceIndex;
use mainstay_core::event::RouterState;
use mainstay_core::input::{Input, Packet, Status};
use mainstay_core::record::Record;
use mainstay_core::status::PeerStatus;

use crate::bench::*;

#[test]
fn counters_count() {
    let mut bench = Bench::backup(router());
    bench.hear(GREATER, 200);
    bench.hear(GREATER, 200);
    bench.hear(GREATER, 0);
    bench.run_to_deadline();
    bench.run_to_deadline();
    let mut short = bench.packet(GREATER, 200, SECOND);
    short.bytes.truncate(5);
    bench.input(Input::Packet(short));
    let counters = bench.router().counters;
    assert_eq!(counters.received, 3);
    assert_eq!(counters.received_priority_zero, 1);
    assert_eq!(counters.became_active, 1);
    assert_eq!(counters.sent, 2);
    assert_eq!(counters.rejected.len(), 1);
    assert_eq!(counters.rejected["too-short"], 1);
    let warnings = bench.router().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("too-short"), "{warnings:?}");
}

#[test]
fn v3_27_a_packet_for_an_unknown_router_is_counted_on_the_interface() {
    let mut bench = Bench::backup(router());
    let mut packet = bench.packet(GREATER, 200, SECOND);
    packet.bytes[1] = 52;
    bench.input(Input::Packet(packet.clone()));
    packet.bytes.truncate(1);
    bench.input(Input::Packet(packet));
    let interfaces = bench.status().interfaces;
    assert_eq!(interfaces.len(), 1);
    assert_eq!(interfaces[0].name, "eth0");
    assert_eq!(interfaces[0].rejected["virtual-router-id"], 1);
    assert_eq!(interfaces[0].rejected["too-short"], 1);
    assert!(bench.router().counters.rejected.is_empty());
}

#[test]
fn whom_a_router_listens_to_is_known_for_a_down_interval() {
    let mut bench = Bench::backup(router());
    let refused = bench.packet(LOWER, 200, SECOND);
    bench.input(Input::Packet(Packet {
        hop_limit: 254,
        ..refused
    }));
    assert!(!bench.engine.hears(INDEX, LOWER, bench.now));
    bench.hear(GREATER, 200);
    let end = bench.now + down(PRIORITY);
    assert!(bench.engine.hears(INDEX, GREATER, bench.now));
    assert!(bench.engine.hears(INDEX, GREATER, end - SECOND));
    assert!(!bench.engine.hears(INDEX, GREATER, end));
    assert!(!bench.engine.hears(INDEX, LOWER, bench.now));
    assert!(!bench.engine.hears(InterfaceIndex(9), GREATER, bench.now));
}

#[test]
fn the_peer_and_who_is_active_are_known() {
    let mut bench = Bench::backup(router());
    assert_eq!(bench.router().peer, None);
    assert_eq!(bench.router().active_router, None);
    bench.hear(GREATER, 200);
    let peer = PeerStatus {
        address: GREATER,
        priority: 200,
        heard_unix_ms: bench.wall(),
    };
    assert_eq!(bench.router().peer, Some(peer));
    assert_eq!(bench.router().active_router, Some(GREATER));
    // Its stop does not make its priority unknown, but it is active no longer.
    bench.hear(GREATER, 0);
    assert_eq!(bench.router().peer, Some(peer));
    assert_eq!(bench.router().active_router, None);
    bench.run_to_deadline();
    assert_eq!(bench.router().active_router, Some(OWN));
    bench.hear(LOWER, 50);
    assert_eq!(bench.router().active_router, Some(OWN));
    assert_eq!(bench.router().peer.map(|peer| peer.address), Some(LOWER));
}

#[test]
fn the_addresses_are_held_when_all_of_them_are_there() {
    let mut bench = Bench::backup(router());
    assert!(!bench.router().holds_addresses);
    bench.silent = true;
    bench.run_to_deadline();
    assert!(!bench.router().holds_addresses);
    bench.answer_all();
    assert!(bench.router().holds_addresses);
}

#[test]
fn transitions_are_numbered_and_the_last_ones_are_kept() {
    let mut bench = Bench::backup(router());
    for _ in 0..40 {
        bench.set_link(false);
        bench.set_link(true);
    }
    let explanation = bench.engine.explain(None).remove(0);
    assert_eq!(explanation.router, "VI_1");
    assert_eq!(explanation.state, RouterState::Backup);
    assert_eq!(explanation.transitions.len(), 32);
    let numbers: Vec<u64> = explanation.transitions.iter().map(|t| t.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(numbers.last(), Some(&81));
    let states = explanation.transitions.windows(2);
    assert!(states.into_iter().all(|pair| pair[0].to == pair[1].from));
    assert_eq!(bench.engine.explain(Some("VI_1")).len(), 1);
    assert!(bench.engine.explain(Some("other")).is_empty());
}

#[test]
fn the_cause_says_why_in_one_line() {
    let mut bench = Bench::backup(router());
    bench.hear(GREATER, 0);
    bench.run_to_deadline();
    assert_eq!(
        bench.router().cause,
        "no advertisement for the down interval of 0.609 s; 192.168.1.11 gave up its role (priority 0) 0.609 s before"
    );
}

#[test]
fn a_notice_names_its_router() {
    let mut bench = Bench::backup(router());
    bench.hear(OWN, 200);
    let notices = bench.notices();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].subject, "router VI_1");
    assert!(notices[0].message.contains("own-address"));
}

#[test]
fn each_transition_and_each_advertisement_of_an_active_router_is_remembered() {
    let remembered = |bench: &Bench| {
        let mut effects = bench.effects.iter().rev();
        effects.find_map(|effect| match effect {
            Effect::Remember(Record::Router(record)) => Some((record.state, record.at)),
            _ => None,
        })
    };
    let mut bench = Bench::backup(router());
    assert_eq!(remembered(&bench), Some((RouterState::Backup, bench.now)));
    bench.run_to_deadline();
    assert_eq!(remembered(&bench), Some((RouterState::Active, bench.now)));
    bench.run_to_deadline();
    assert_eq!(remembered(&bench), Some((RouterState::Active, bench.now)));
    bench.stop();
    assert_eq!(
        remembered(&bench),
        Some((RouterState::Initialize, bench.now))
    );
}

#[test]
fn a_fault_is_shown_as_the_check_puts_it_now() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    assert_eq!(bench.router().faults, ["check nginx: no report yet"]);
    bench.judge(Status::Unhealthy);
    assert_eq!(bench.router().faults, ["check nginx: said so"]);
    bench.err("it trapped");
    assert_eq!(bench.router().faults, ["check nginx: it trapped"]);
}

#[test]
fn a_check_that_errs_says_why_at_once_and_when_its_last_report_is_too_old() {
    let mut bench = Bench::new(tracking(None));
    bench.look();
    bench.judge(Status::Healthy);
    bench.err("error: not permitted: no-such-path");
    let notices = bench.notices();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].subject, "check nginx");
    assert!(notices[0].loud);
    assert_eq!(
        notices[0].message,
        "gives no verdict: error: not permitted: no-such-path; on-error = \"keep\""
    );
    bench.err("error: not permitted: no-such-path");
    assert!(bench.notices().is_empty());
    bench.run_for(10 * SECOND);
    let silence = "no report for 10s, last: error: not permitted: no-such-path";
    let messages: Vec<String> = bench
        .notices()
        .into_iter()
        .map(|n| n.message.clone())
        .collect();
    assert!(
        messages.contains(&format!("out of service: {silence}")),
        "{messages:?}"
    );
    assert_eq!(bench.router().cause, format!("check nginx: {silence}"));
    // It goes on to err: that there is no report is still what counts.
    bench.err("error: not permitted: no-such-path");
    assert_eq!(bench.status().checks[0].message, silence);
    bench.judge(Status::Healthy);
    assert_eq!(bench.status().checks[0].message, "said so");
}
