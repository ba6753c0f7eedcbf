//! What holds for every seed, with bounds in the RFCs' own formulas.

use std::io::Write;
use std::time::Duration;

use mainstay_core::event::{Cause, RouterState};
use mainstay_core::time::Time;

use crate::faults;
use crate::lan::Lan;
use crate::random::Random;
use crate::rfc;
use crate::setup::{CHECK_INTERVAL, STALE_AFTER, Setup};

/// Seeds tried by each property, unless `MAINSTAY_SEEDS` says otherwise.
const SEEDS: u64 = 2_000;

/// Advertisements that a node may send within one interval: one by its timer and three answers
/// (`V3-55`, `V3-57`), besides what its own transitions call for.
const ADVERTISEMENTS: usize = 1 + 3;

/// What a run of one seed came to.
struct Outcome {
    lan: Lan,
    took_over: bool,
}

/// Runs the property for every seed and repeats a failing one with its log.
fn for_every_seed(name: &str, run: impl Fn(u64, bool) -> Outcome) {
    let only = number("MAINSTAY_SEED");
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => 0..number("MAINSTAY_SEEDS").unwrap_or(SEEDS),
    };
    let (mut tried, mut takeovers, mut noise) = (0, 0, 0);
    for seed in seeds {
        let on_panic = TellSeed(name, seed);
        let outcome = run(seed, only.is_some());
        if let Some(violation) = outcome.lan.violation {
            let again = run(seed, true).lan;
            panic!(
                "{name}, seed {seed}: {violation}\n{:#?}\n{}",
                again.setup,
                again.journal.text()
            );
        }
        if only.is_some() {
            tell(&outcome.lan.journal.text());
        }
        tried += 1;
        takeovers += u64::from(outcome.took_over);
        noise += outcome.lan.noise;
        drop(on_panic);
    }
    tell(&format!(
        "{name}: {tried} seeds, {takeovers} with a takeover, {noise} bad packets"
    ));
    assert!(takeovers > 0, "{name}: no seed had a takeover");
}

/// Names the seed in which something panicked.
struct TellSeed<'a>(&'a str, u64);

impl Drop for TellSeed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&format!("{}: failed with MAINSTAY_SEED={}", self.0, self.1));
        }
    }
}

/// Writes past the test harness, which keeps what a passing test prints to itself.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the engine reads no environment; its test may be told a seed"
)]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
    )
}

#[test]
fn whatever_goes_wrong_the_best_eligible_node_is_the_only_active_one_afterwards() {
    for_every_seed("faults", |seed, verbose| {
        let mut random = Random::new(seed);
        let setup = Setup::random(&mut random);
        let mut lan = Lan::new(setup, random, verbose);
        for node in 0..lan.nodes.len() {
            lan.start(node);
        }
        let passed = faults::schedule(&mut lan);
        lan.run_for(passed.since(lan.now()));
        let parted = lan.actives();
        heal(&mut lan);
        lan.run_for(settling_time(&lan));
        let took_over = lan.journal.moved();
        let expected = best_eligible(&lan);
        assert_settled(&mut lan, &expected);
        assert_stays(&mut lan, &expected);
        assert_client_follows(&mut lan, &parted);
        assert_no_storm(&mut lan);
        Outcome { lan, took_over }
    });
}

#[test]
fn after_a_single_failure_the_next_best_node_takes_over_when_its_down_interval_is_over() {
    for_every_seed("single failure", |seed, verbose| {
        let mut random = Random::new(seed);
        let setup = Setup::random(&mut random);
        let mut lan = Lan::new(setup, random, verbose);
        for node in 0..lan.nodes.len() {
            lan.start(node);
        }
        lan.run_for(settling_time(&lan));
        let jitter = lan.setup.interval * 10;
        let wait = lan.random().duration(Duration::ZERO..jitter);
        lan.run_for(wait);
        let actives = lan.actives();
        let [active] = actives[..] else {
            lan.violate(|| format!("{actives:?} are active before anything has failed"));
            return Outcome {
                lan,
                took_over: false,
            };
        };
        let failed_at = lan.now();
        let quick = match lan.random().index(4) {
            0 => {
                lan.crash(active);
                false
            }
            1 => {
                lan.pause(active);
                false
            }
            2 => {
                lan.set_link(active, false);
                false
            }
            _ => {
                lan.stop(active);
                true
            }
        };
        let next = successors(&lan, active);
        let heard_at = lan.journal.sent.iter().rfind(|sent| sent.node == active);
        let heard_at = heard_at.map_or(failed_at, |sent| sent.at);
        let wait = next.iter().map(|(settings, priority)| match quick {
            true => rfc::skew(settings, *priority),
            false => rfc::down(settings, *priority),
        });
        let earliest = heard_at + wait.clone().min().unwrap_or_default();
        let latest = heard_at + wait.min().unwrap_or_default() + lan.setup.slack();
        let limit = latest.since(lan.now()) + lan.setup.slack();
        let taken = lan.run_until(limit, |lan| {
            lan.actives().iter().any(|node| *node != active)
        });
        let at = lan.now();
        if !taken || at < earliest || at > latest {
            lan.violate(|| {
                format!("n{active} failed at {failed_at}; taken over: {taken}, at {at}, not within {earliest}..{latest}")
            });
        }
        Outcome {
            lan,
            took_over: taken,
        }
    });
}

#[test]
fn a_node_that_restarts_never_makes_a_second_active_one() {
    for_every_seed("restart", |seed, verbose| {
        let mut random = Random::new(seed);
        let setup = Setup::random(&mut random);
        let mut lan = Lan::new(setup, random, verbose);
        // Without preemption whoever comes first stays active, so that not only the best is killed.
        lan.start(0);
        if lan.random().permille(500) {
            lan.run_for(settling_time(&lan));
        }
        for node in 1..lan.nodes.len() {
            lan.start(node);
        }
        lan.run_for(settling_time(&lan) + lan.setup.interval * 3);
        let actives = lan.actives();
        let [active] = actives[..] else {
            lan.violate(|| format!("{actives:?} are active before anything has failed"));
            return Outcome {
                lan,
                took_over: false,
            };
        };
        let down = rfc::down(&lan.setup.router(active), priority(&lan, active));
        let gone = lan
            .random()
            .duration(Duration::from_millis(2)..down * 2 + Duration::from_millis(2));
        lan.crash(active);
        lan.run_for(gone);
        let restarted_at = lan.now();
        let heard_at = lan.journal.sent.iter().rfind(|sent| sent.node == active);
        let silent_for = restarted_at.since(heard_at.map_or(Time::ZERO, |sent| sent.at));
        let before = lan.journal.changed.len();
        lan.start(active);
        lan.run_for(settling_time(&lan));
        let others_moved = lan.journal.changed[before..]
            .iter()
            .any(|changed| changed.node != active && changed.transition.to == RouterState::Active);
        let took_over = others_moved || lan.journal.moved();
        let slack = lan.setup.slack();
        if let Some(both) = longest_with_two(&lan, restarted_at)
            && both > slack
        {
            lan.violate(|| format!("two nodes were active for {both:?}"));
        }
        // Nobody can have taken over before so many advertisements were missed.
        let missed = lan.setup.interval * u32::from(lan.setup.down_timer_adverts);
        // A verdict that has become stale meanwhile keeps the node out.
        let judged = lan.setup.nodes[active].check.is_none() || gone + CHECK_INTERVAL < STALE_AFTER;
        if judged && silent_for + slack < missed && (others_moved || lan.actives() != [active]) {
            lan.violate(|| format!("n{active} did not go on after {silent_for:?}"));
        }
        let expected = best_eligible(&lan);
        assert_settled(&mut lan, &expected);
        Outcome { lan, took_over }
    });
}

/// Ends every fault, and with it every process that waits for its end.
fn heal(lan: &mut Lan) {
    lan.network.mend_all();
    for node in 0..lan.nodes.len() {
        lan.resume(node);
    }
}

/// How long a segment must be stable until one node is active: the longest down interval, another
/// skew, and the latencies.
fn settling_time(lan: &Lan) -> Duration {
    let settings = lan.setup.router(0);
    rfc::down(&settings, 1) + rfc::skew(&settings, 1) + lan.setup.slack()
}

/// The node's priority after tracking.
fn priority(lan: &Lan, node: usize) -> u8 {
    let setup = &lan.setup.nodes[node];
    let weight = i32::from(setup.check.flatten().unwrap_or_default());
    if setup.priority == 255 || (weight > 0) != lan.nodes[node].healthy {
        return setup.priority;
    }
    (i32::from(setup.priority) + weight).clamp(1, 254) as u8
}

/// Whether nothing keeps the node from taking part.
fn eligible(lan: &Lan, node: usize) -> bool {
    let host = &lan.nodes[node];
    let in_service = lan.setup.nodes[node].check != Some(None) || host.healthy;
    host.runs() && !host.stopping && host.kernel.running && in_service
}

/// The nodes of which one must be active on a stable segment.
fn best_eligible(lan: &Lan) -> Vec<usize> {
    let nodes = (0..lan.nodes.len()).filter(|node| eligible(lan, *node));
    let best = nodes.clone().map(|node| priority(lan, node)).max();
    nodes
        .filter(|node| !lan.setup.preempt || Some(priority(lan, *node)) == best)
        .collect()
}

/// Settings and priority of everybody who can take over from `active`.
fn successors(lan: &Lan, active: usize) -> Vec<(mainstay_core::settings::RouterSettings, u8)> {
    (0..lan.nodes.len())
        .filter(|node| *node != active && eligible(lan, *node))
        .map(|node| (lan.setup.router(node), priority(lan, node)))
        .collect()
}

fn assert_settled(lan: &mut Lan, expected: &[usize]) {
    let actives = lan.actives();
    let right = match actives[..] {
        [] => expected.is_empty(),
        [active] => expected.contains(&active),
        _ => false,
    };
    if !right {
        lan.violate(|| format!("{actives:?} are active, not one of {expected:?}"));
    }
}

/// That nothing changes any more, and that the active node serves and advertises evenly.
fn assert_stays(lan: &mut Lan, expected: &[usize]) {
    // Long enough for the second round of gratuitous ARP.
    let intervals = 1 + (6_000 / lan.setup.interval.as_millis().max(1)) as u32;
    let from = lan.now();
    let stable = lan.violation.is_none();
    lan.expect_actives = stable.then_some(usize::from(!expected.is_empty()));
    let transitions = lan.journal.changed.len();
    lan.run_for(lan.setup.interval * intervals);
    for node in 0..lan.nodes.len() {
        let active = lan.nodes[node].is_active();
        let sent = lan.journal.sent_by(node, from, lan.now()).count() as u32;
        let even = match active {
            true => intervals.abs_diff(sent) <= 1,
            // A node that waits to be relieved has announced its end before.
            false => sent == 0,
        };
        if !even {
            lan.violate(|| format!("n{node} sent {sent} advertisements in {intervals} intervals"));
        }
        if active && !lan.nodes[node].holds_all() {
            lan.violate(|| format!("n{node} is active without its addresses"));
        }
        let told = lan.router(node).map(|router| router.state);
        if told != lan.nodes[node].state {
            lan.violate(|| format!("n{node}'s status says {told:?}"));
        }
    }
    let since = lan.journal.changed.len() - transitions;
    let stopped = lan.journal.changed[transitions..]
        .iter()
        .filter(|changed| changed.transition.to == RouterState::Initialize)
        .count();
    if since > stopped {
        lan.violate(|| format!("{since} transitions on a stable segment"));
    }
}

/// That the client sends to the active node.
///
/// Excepted is what no router can know of: that another node, unheard, was active after this one
/// became active and no longer when the segment became whole. `parted` are those that were active when it became whole.
fn assert_client_follows(lan: &mut Lan, parted: &[usize]) {
    let [active] = lan.actives()[..] else { return };
    // A node that resumes tells nobody, since nothing has changed for the client.
    let last = |node: usize| {
        let resumed = |cause: &Cause| matches!(cause, Cause::Resumed { .. });
        let mut told = lan.journal.takeovers();
        told.rfind(|changed| changed.node == node && !changed.transition.causes.iter().any(resumed))
            .map_or(Time::ZERO, |changed| changed.at)
    };
    let told_at = last(active) + lan.setup.slack();
    let unheard = lan.journal.sent.iter().any(|sent| {
        let other = sent.node != active && !parted.contains(&sent.node);
        other && sent.priority > 0 && sent.at > told_at
    });
    if unheard {
        return;
    }
    for prefix in lan.setup.addresses.clone() {
        let neighbour = lan.network.neighbour(prefix.address());
        if neighbour != Some(lan.nodes[active].mac()) {
            lan.violate(|| {
                format!("the client sends {prefix} to {neighbour:02x?}, not to n{active}")
            });
        }
    }
}

/// That no node ever sent more within an interval than its timer, its answers and its transitions
/// account for.
fn assert_no_storm(lan: &mut Lan) {
    let interval = lan.setup.interval;
    for node in 0..lan.nodes.len() {
        let sent: Vec<Time> = lan
            .journal
            .sent
            .iter()
            .filter(|sent| sent.node == node)
            .map(|sent| sent.at)
            .collect();
        for (first, begin) in sent.iter().enumerate() {
            let end = *begin + interval;
            let count = sent[first..].iter().take_while(|at| **at < end).count();
            let own = lan
                .journal
                .changed
                .iter()
                .filter(|changed| changed.node == node && changed.at >= *begin && changed.at < end)
                .count();
            // A change of priority is told at once, and a check can change it.
            let told = usize::from(lan.setup.nodes[node].check.is_some()) * 2;
            if count > ADVERTISEMENTS + own * (1 + ADVERTISEMENTS) + told {
                lan.violate(|| {
                    format!("n{node} sent {count} advertisements within {interval:?} from {begin}")
                });
                return;
            }
        }
    }
}

/// The longest time with two active nodes after `from`.
fn longest_with_two(lan: &Lan, from: Time) -> Option<Duration> {
    let ends = lan.journal.actives.iter().map(|(at, _)| *at).skip(1);
    let ends = ends.chain([lan.now()]);
    lan.journal
        .actives
        .iter()
        .zip(ends)
        .filter(|((_, count), end)| *count > 1 && *end > from)
        .map(|((begin, _), end)| end.since((*begin).max(from)))
        .max()
}
