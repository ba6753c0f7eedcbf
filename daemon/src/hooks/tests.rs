use std::collections::VecDeque;

use mainstay_core::address::Family;
use mainstay_core::event::{Cause, CheckChange, RouterState, Transition};
use mainstay_core::status::CheckState;
use mainstay_core::time::Time;
use mainstay_protocol::EventPayload;
use proptest::prelude::*;

use super::queue::CAPACITY;
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

fn active(router: &str, sequence: u64) -> Event {
    let causes = vec![Cause::Owner];
    event::of_router(&transition(router, sequence, RouterState::Active, causes))
}

fn change(check: &str, sequence: u64) -> Event {
    event::of_check(&CheckChange {
        sequence,
        check: check.to_owned(),
        from: None,
        to: CheckState::Degraded,
        message: "slow".to_owned(),
        at_unix_ms: Realtime(1_700_000_000_000),
    })
}

fn subscription(hook: &str, kinds: &[Kind]) -> Subscription {
    Subscription {
        hook: hook.to_owned(),
        kinds: kinds.iter().copied().collect(),
        deadline: Duration::from_secs(5),
    }
}

fn sent(hooks: &mut Hooks, now: Instant) -> Vec<(String, String, u64)> {
    let due = hooks.due(now, |_| true).into_iter();
    due.map(|(hook, event)| (hook, event.source, event.sequence))
        .collect()
}

#[test]
fn a_hook_hears_of_what_it_asked_for_and_each_source_goes_on_by_itself() {
    let now = Instant::now();
    let mut hooks = Hooks::default();
    hooks.subscribe(vec![
        subscription("all", &[Kind::Router, Kind::Check, Kind::Daemon]),
        subscription("checks", &[Kind::Check]),
    ]);
    for event in [active("a", 1), change("c", 1), change("c", 2)] {
        hooks.accept(&event, now);
    }
    let (a, c) = ("router/a/ipv4".to_owned(), "check/c".to_owned());
    let mut first = sent(&mut hooks, now);
    first.sort();
    let expected = [
        ("all".to_owned(), c.clone(), 1),
        ("all".to_owned(), a, 1),
        ("checks".to_owned(), c.clone(), 1),
    ];
    assert_eq!(first, expected);
    assert_eq!(sent(&mut hooks, now), []);
    assert_eq!(hooks.answered("checks", &c, 1, true, now), Fate::Delivered);
    assert_eq!(sent(&mut hooks, now), [("checks".to_owned(), c, 2)]);
}

#[test]
fn the_daemon_is_a_source_of_its_own() {
    let now = Instant::now();
    let mut hooks = Hooks::default();
    hooks.subscribe(vec![subscription("h", &[Kind::Daemon])]);
    for phase in [DaemonPhase::Started, DaemonPhase::Stopping] {
        hooks.announce(phase, Realtime(5), now);
    }
    for (sequence, phase) in [(1, DaemonPhase::Started), (2, DaemonPhase::Stopping)] {
        let (_, event) = hooks.due(now, |_| true).remove(0);
        assert_eq!(
            (event.source.as_str(), event.sequence),
            ("daemon", sequence)
        );
        assert_eq!(event.payload, EventPayload::Daemon(phase));
        assert_eq!(event.at_unix_ms, 5);
        hooks.answered("h", "daemon", sequence, true, now);
    }
    assert!(hooks.is_empty());
}

#[test]
fn a_hook_has_two_events_at_a_time_and_who_waits_longest_is_next() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut hooks = Hooks::default();
    hooks.subscribe(vec![
        subscription("h", &[Kind::Router]),
        subscription("other", &[Kind::Check]),
    ]);
    for (number, router) in ["d", "c", "b", "a"].iter().enumerate() {
        hooks.accept(&active(router, 1), at(number as u64));
    }
    let source = |router: &str| format!("router/{router}/ipv4");
    let told = |router: &str, sequence| ("h".to_owned(), source(router), sequence);
    assert_eq!(sent(&mut hooks, at(10)), [told("d", 1), told("c", 1)]);
    // Nothing else is due: whoever has no room does not wake anybody.
    let wake = hooks.next_wake(at(10), |_| true).unwrap();
    assert!(wake > at(60_000));
    // Another hook has room of its own.
    hooks.accept(&change("x", 1), at(10));
    let others = sent(&mut hooks, at(11));
    assert_eq!(others, [("other".to_owned(), "check/x".to_owned(), 1)]);
    // A source that goes on and on does not keep the others waiting.
    hooks.accept(&active("d", 2), at(20));
    hooks.answered("h", &source("d"), 1, true, at(20));
    assert_eq!(sent(&mut hooks, at(21)), [told("b", 1)]);
}

#[test]
fn events_survive_a_reload_for_the_hooks_that_do() {
    let now = Instant::now();
    let mut hooks = Hooks::default();
    hooks.subscribe(vec![
        subscription("stays", &[Kind::Router]),
        subscription("goes", &[Kind::Router]),
    ]);
    hooks.accept(&active("a", 1), now);
    assert_eq!(hooks.due(now, |_| true).len(), 2);
    hooks.subscribe(vec![
        subscription("stays", &[Kind::Router]),
        subscription("new", &[Kind::Router]),
    ]);
    assert!(hooks.worker_gone(true, now).is_empty());
    let source = "router/a/ipv4".to_owned();
    assert_eq!(sent(&mut hooks, now), [("stays".to_owned(), source, 1)]);
}

#[test]
fn a_transition_is_told_whole() {
    let causes = vec![Cause::NeverHeard, Cause::Startup];
    let told = event::of_router(&transition("VI_1", 7, RouterState::Active, causes));
    assert_eq!(told.source, "router/VI_1/ipv4");
    assert_eq!((told.sequence, told.at_unix_ms), (7, 1_700_000_000_000));
    let EventPayload::Router(router) = told.payload else {
        panic!("{told:?}");
    };
    assert_eq!(
        (router.from.as_str(), router.to.as_str()),
        ("backup", "active")
    );
    assert_eq!(router.addresses, ["192.168.1.100/24"]);
    assert_eq!(router.cause, "no other router has been heard; start");
}

#[test]
fn a_change_of_a_check_is_told_whole() {
    let told = change("nginx", 3);
    assert_eq!((told.source.as_str(), told.sequence), ("check/nginx", 3));
    let EventPayload::Check(check) = told.payload else {
        panic!("{told:?}");
    };
    assert_eq!((check.from, check.to.as_str()), (None, "degraded"));
    assert_eq!(check.message, "slow");
}

#[test]
fn a_router_that_ends_is_stopped() {
    let to = |causes| {
        let told = event::of_router(&transition("a", 1, RouterState::Initialize, causes));
        match told.payload {
            EventPayload::Router(router) => router.to,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(to(vec![Cause::Stop]), "stopped");
    assert_eq!(to(vec![Cause::Removed]), "stopped");
    assert_eq!(to(vec![Cause::Startup]), "initialize");
}

#[test]
fn the_engine_never_waits_and_the_last_state_arrives() {
    let (mut sender, mut receiver) = channel();
    for sequence in 1..=5_000 {
        let router = if sequence % 2 == 0 { "a" } else { "b" };
        let causes = vec![Cause::Owner];
        sender.transition(&transition(router, sequence, RouterState::Active, causes));
    }
    let mut last = BTreeMap::new();
    let mut received = 0;
    loop {
        while let Ok(event) = receiver.try_recv() {
            let earlier = last.insert(event.source, (event.sequence, event.coalesced));
            assert!(earlier.is_none_or(|(sequence, _)| sequence < event.sequence));
            received += 1;
        }
        sender.flush();
        if receiver.is_empty() {
            break;
        }
    }
    assert_eq!(received, 1026);
    assert_eq!(last["router/a/ipv4"], (5_000, true));
    assert_eq!(last["router/b/ipv4"], (4_999, true));
}

/// What a test does to the queues of the hook `h`.
#[derive(Clone, Debug)]
enum Step {
    /// So many changes of a check, at once.
    Happen { source: usize, times: usize },
    /// The oldest event that the hook has is answered.
    Answer { delivered: bool },
    /// The worker is replaced.
    Replace,
    /// Time passes.
    Pass { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 1..200_usize).prop_map(|(source, times)| Step::Happen { source, times }),
        8 => any::<bool>().prop_map(|delivered| Step::Answer { delivered }),
        1 => Just(Step::Replace),
        3 => (0..300_u64).prop_map(|ms| Step::Pass { ms }),
    ]
}

/// A hook, what happened, and what it was told of that.
struct Storm {
    hooks: Hooks,
    now: Instant,
    happened: [u64; 3],
    told: [u64; 3],
    in_worker: VecDeque<Event>,
}

impl Storm {
    fn new() -> Self {
        let mut hooks = Hooks::default();
        // Long enough that nothing is given up.
        hooks.subscribe(vec![Subscription {
            deadline: Duration::from_secs(1_000_000),
            ..subscription("h", &[Kind::Check])
        }]);
        Self {
            hooks,
            now: Instant::now(),
            happened: [0; 3],
            told: [0; 3],
            in_worker: VecDeque::new(),
        }
    }

    fn happen(&mut self, source: usize) {
        self.happened[source] += 1;
        let sequence = self.happened[source];
        let mut event = change(&source.to_string(), sequence);
        if let EventPayload::Check(check) = &mut event.payload {
            check.from = Some((sequence - 1).to_string());
            check.to = sequence.to_string();
        }
        self.hooks.accept(&event, self.now);
    }

    fn answer(&mut self, delivered: bool) {
        let Some(event) = self.in_worker.pop_front() else {
            return;
        };
        let EventPayload::Check(check) = &event.payload else {
            panic!("{event:?}");
        };
        let source: usize = check.check.parse().unwrap();
        if delivered {
            let told = &mut self.told[source];
            assert_eq!(check.from, Some(told.to_string()));
            assert_eq!(event.coalesced, event.sequence > *told + 1);
            *told = event.sequence;
        }
        self.hooks
            .answered("h", &event.source, event.sequence, delivered, self.now);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Happen { source, times } => (0..times).for_each(|_| self.happen(source)),
            Step::Answer { delivered } => self.answer(delivered),
            Step::Replace => {
                self.hooks.worker_gone(false, self.now);
                self.in_worker.clear();
            }
            Step::Pass { ms } => self.now += Duration::from_millis(ms),
        }
        self.send();
    }

    fn send(&mut self) {
        let due = self.hooks.due(self.now, |_| true);
        self.in_worker
            .extend(due.into_iter().map(|(_, event)| event));
        assert!(self.in_worker.len() <= UNDER_WAY);
        let waiting = self.hooks.queues.values().map(Queue::len);
        assert!(waiting.clone().all(|waiting| waiting <= CAPACITY));
        assert!(waiting.count() <= self.happened.len());
    }

    /// From now on the hook takes everything.
    fn end(&mut self) {
        while !self.hooks.is_empty() {
            let wake = self.hooks.next_wake(self.now, |_| true).unwrap();
            if self.in_worker.is_empty() {
                self.now = self.now.max(wake);
            }
            self.send();
            self.answer(true);
        }
    }
}

proptest! {
    /// Whatever happens, and however the hook fails: it is told in order, without a gap between one
    /// state and the next, and of the last state in the end; and little waits meanwhile.
    #[test]
    fn a_storm_is_told_in_order_without_a_gap_and_to_its_end(
        steps in prop::collection::vec(step(), 1..200)
    ) {
        let mut storm = Storm::new();
        for step in &steps {
            storm.step(step);
        }
        storm.end();
        assert_eq!(storm.told, storm.happened);
    }
}
