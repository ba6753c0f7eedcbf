use mainstay_core::address::Family;
use mainstay_core::event::{Cause, RouterState};
use mainstay_core::time::{Realtime, Time};

use super::*;

fn transition(router: &str, sequence: u64, to: RouterState, causes: Vec<Cause>) -> Transition {
    Transition {
        sequence,
        router: router.to_owned(),
        interface: "eth0".to_owned(),
        family: Family::Ipv4,
        id: 51,
        from: RouterState::Backup,
        to,
        priority: 100,
        addresses: vec!["192.168.1.100/24".parse().unwrap()],
        causes,
        at: Time::ZERO,
        at_unix_ms: Realtime(1_700_000_000_000),
    }
}

fn happened(router: &str, sequence: u64) -> Happened {
    let transition = transition(router, sequence, RouterState::Active, vec![Cause::Owner]);
    Happened {
        transition,
        coalesced: false,
    }
}

fn subscription(hook: &str, routers: Option<&[&str]>) -> Subscription {
    Subscription {
        hook: hook.to_owned(),
        routers: routers.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
        deadline: Duration::from_secs(5),
    }
}

fn sent(hooks: &mut Hooks, now: Instant) -> Vec<(String, String, u64)> {
    let due = hooks.due(now, |_| true).into_iter();
    due.map(|(hook, event)| (hook, event.source, event.sequence))
        .collect()
}

#[test]
fn a_hook_hears_of_its_routers_and_each_source_goes_on_by_itself() {
    let now = Instant::now();
    let mut hooks = Hooks::default();
    hooks.subscribe(vec![
        subscription("all", None),
        subscription("one", Some(&["b"])),
    ]);
    for happened in [happened("a", 1), happened("b", 1), happened("b", 2)] {
        hooks.accept(&happened, now);
    }
    let (a, b) = ("router/a/ipv4".to_owned(), "router/b/ipv4".to_owned());
    let expected = [
        ("all".to_owned(), a, 1),
        ("all".to_owned(), b.clone(), 1),
        ("one".to_owned(), b.clone(), 1),
    ];
    assert_eq!(sent(&mut hooks, now), expected);
    assert_eq!(sent(&mut hooks, now), []);
    assert_eq!(hooks.answered("all", &b, 1, true, now), Fate::Delivered);
    assert_eq!(sent(&mut hooks, now), [("all".to_owned(), b, 2)]);
}

#[test]
fn events_survive_a_reload_for_the_hooks_that_do() {
    let now = Instant::now();
    let mut hooks = Hooks::default();
    hooks.subscribe(vec![
        subscription("stays", None),
        subscription("goes", None),
    ]);
    hooks.accept(&happened("a", 1), now);
    assert_eq!(hooks.due(now, |_| true).len(), 2);
    hooks.subscribe(vec![subscription("stays", None), subscription("new", None)]);
    assert!(hooks.worker_gone(true, now).is_empty());
    let source = "router/a/ipv4".to_owned();
    assert_eq!(sent(&mut hooks, now), [("stays".to_owned(), source, 1)]);
}

#[test]
fn a_transition_is_told_whole() {
    let told = event(
        &transition(
            "VI_1",
            7,
            RouterState::Active,
            vec![Cause::NeverHeard, Cause::Startup],
        ),
        false,
    );
    assert_eq!(told.source, "router/VI_1/ipv4");
    assert_eq!((told.sequence, told.at_unix_ms), (7, 1_700_000_000_000));
    let EventPayload::Router(router) = told.payload;
    assert_eq!(
        (router.from.as_str(), router.to.as_str()),
        ("backup", "active")
    );
    assert_eq!(router.addresses, ["192.168.1.100/24"]);
    assert_eq!(router.cause, "no other router has been heard; start");
}

#[test]
fn a_router_that_ends_is_stopped() {
    let to = |causes| {
        let told = event(&transition("a", 1, RouterState::Initialize, causes), false);
        let EventPayload::Router(router) = told.payload;
        router.to
    };
    assert_eq!(to(vec![Cause::Stop]), "stopped");
    assert_eq!(to(vec![Cause::Removed]), "stopped");
    assert_eq!(to(vec![Cause::Startup]), "initialize");
}

#[test]
fn the_engine_never_waits_and_the_last_state_arrives() {
    let (mut sender, mut receiver) = channel();
    for sequence in 1..=5_000 {
        sender.send(transition(
            if sequence % 2 == 0 { "a" } else { "b" },
            sequence,
            RouterState::Active,
            vec![Cause::Owner],
        ));
    }
    let mut last = BTreeMap::new();
    let mut received = 0;
    loop {
        while let Ok(happened) = receiver.try_recv() {
            let transition = &happened.transition;
            let earlier = last.insert(
                transition.router.clone(),
                (transition.sequence, happened.coalesced),
            );
            assert!(earlier.is_none_or(|(sequence, _)| sequence < transition.sequence));
            received += 1;
        }
        sender.flush();
        if receiver.is_empty() {
            break;
        }
    }
    assert_eq!(received, 1026);
    assert_eq!(last["a"], (5_000, true));
    assert_eq!(last["b"], (4_999, true));
}
