//! Nodes, a network and a clock that jumps to whatever comes next.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_core::action::Effect;
use mainstay_core::event::{Event, RouterState};
use mainstay_core::input::{Command, Input, Outcome, Packet, Status, Verdict, WeightChange};
use mainstay_core::status::{Phase, RouterStatus};
use mainstay_core::time::{Now, Realtime, Time};
use mainstay_core::wire::vrrp::{Advertisement, GROUP, HOP_LIMIT, peek_id};

use crate::faults::{self, Fault};
use crate::journal::{Changed, Journal, Sent};
use crate::kernel::{INDEX, Kernel, Request};
use crate::network::{Network, read_gratuitous};
use crate::node::Node;
use crate::random::Random;
use crate::setup::{CHECK, CHECK_INTERVAL, Setup};

/// Ticks of one node at one instant after which it is said to spin.
const SPIN: u32 = 20;

/// Actions that one input may lead to.
const ACTIONS: usize = 64;

/// Something that happens at a time known beforehand.
#[derive(Debug)]
enum Happening {
    Arrive {
        to: usize,
        packet: Packet,
        noise: bool,
    },
    Serve {
        node: usize,
        process: u32,
        request: Request,
    },
    Check {
        node: usize,
        process: u32,
    },
    Noise {
        node: usize,
    },
    Fault(Fault),
}

#[derive(Debug)]
pub(crate) struct Lan {
    pub(crate) setup: Setup,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) journal: Journal,
    /// The first property that did not hold; the run ends with it.
    pub(crate) violation: Option<String>,
    /// While set, exactly that many nodes must be active after every input.
    pub(crate) expect_actives: Option<usize>,
    random: Random,
    now: Time,
    queue: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    /// The instant of the last tick, whose it was, and how many there were.
    ticks: (Time, usize, u32),
    /// Every bad packet that arrived.
    pub(crate) noise: u64,
}

impl Lan {
    /// A LAN whose nodes have not been started.
    pub(crate) fn new(setup: Setup, random: Random, verbose: bool) -> Self {
        let nodes = (0..setup.nodes.len()).map(|index| {
            let primary = setup.primary(index);
            let mac = [2, 0, 0, 0, 0, index as u8];
            let kernel = Kernel::new(mac, primary, setup.marks);
            Node::new(
                primary.address(),
                setup.nodes[index].wake,
                setup.settings(index),
                kernel,
            )
        });
        let mut lan = Self {
            nodes: nodes.collect(),
            network: Network::new(setup.latency.clone()),
            journal: Journal::new(verbose),
            violation: None,
            expect_actives: None,
            random,
            now: Time::from_boot(Duration::from_secs(1_000)),
            queue: BTreeMap::new(),
            sequence: 0,
            ticks: (Time::ZERO, 0, 0),
            noise: 0,
            setup,
        };
        if let Some(apart) = lan.noise_interval() {
            for node in 0..lan.nodes.len() {
                lan.schedule(lan.now + apart, Happening::Noise { node });
            }
        }
        lan
    }

    /// A LAN without chance in it but for latencies, all nodes started.
    pub(crate) fn started(setup: Setup) -> Self {
        let mut lan = Self::new(setup, Random::new(1), true);
        for node in 0..lan.nodes.len() {
            lan.start(node);
        }
        lan
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.step(until) {}
    }

    /// Lets time pass until the condition holds; false when it did not within `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while !holds(self) {
            if !self.step(until) {
                return holds(self);
            }
        }
        true
    }

    pub(crate) fn fault_at(&mut self, at: Time, fault: Fault) {
        self.schedule(at, Happening::Fault(fault));
    }

    pub(crate) fn actives(&self) -> Vec<usize> {
        let active = |node: &usize| self.nodes[*node].is_active();
        (0..self.nodes.len()).filter(active).collect()
    }

    // What can be done to a node.

    pub(crate) fn start(&mut self, node: usize) {
        if self.nodes[node].engine.is_some() {
            return;
        }
        self.note(node, || "starts".to_owned());
        let now = self.both_clocks();
        let snapshot = self.nodes[node].begin(now);
        self.handle(node, snapshot);
        if self.setup.nodes[node].check.is_some() {
            let process = self.nodes[node].process;
            self.schedule(self.now, Happening::Check { node, process });
        }
    }

    /// Kill -9: the kernel keeps its addresses.
    pub(crate) fn crash(&mut self, node: usize) {
        self.note(node, || "is killed".to_owned());
        self.nodes[node].end();
        self.count_actives();
    }

    pub(crate) fn stop(&mut self, node: usize) {
        self.note(node, || "is asked to stop".to_owned());
        if self.nodes[node].engine.is_some() {
            self.nodes[node].stopping = true;
            self.tell(node, Input::Command(Command::Stop));
        }
    }

    pub(crate) fn pause(&mut self, node: usize) {
        if self.nodes[node].paused {
            return;
        }
        self.note(node, || "is paused".to_owned());
        let excused = self.nodes[node].cannot_help_it(self.now);
        self.nodes[node].excused = excused;
        self.nodes[node].paused = true;
    }

    /// Goes on: first what the kernel has to tell, then what waits in the socket, then the time.
    pub(crate) fn resume(&mut self, node: usize) {
        if !self.nodes[node].paused {
            return;
        }
        self.note(node, || "goes on".to_owned());
        self.nodes[node].paused = false;
        if self.nodes[node].excused {
            // What it would have asked for again meanwhile, it asks for from now on.
            self.nodes[node].refused_until = self.now;
        }
        while let Some(input) = self.nodes[node].inbox.pop_front() {
            self.handle(node, input);
        }
        while let Some(packet) = self.nodes[node].socket.pop_front() {
            self.handle(node, Input::Packet(packet));
        }
        if self.nodes[node].wakes_at().is_some_and(|at| at <= self.now) {
            self.handle(node, Input::Tick);
        }
    }

    /// Pulls the cable, or plugs it in.
    pub(crate) fn set_link(&mut self, node: usize, running: bool) {
        if self.nodes[node].kernel.running == running {
            return;
        }
        self.note(node, || format!("link running: {running}"));
        self.nodes[node].kernel.running = running;
        let link = self.nodes[node].kernel.link();
        self.tell(node, Input::Link(link));
    }

    /// What the check finds from now on; it runs at once.
    pub(crate) fn set_healthy(&mut self, node: usize, healthy: bool) {
        self.nodes[node].healthy = healthy;
        self.run_check(node);
    }

    /// Somebody else removes the virtual addresses.
    pub(crate) fn remove_addresses_by_hand(&mut self, node: usize) {
        self.note(node, || "loses its addresses to somebody else".to_owned());
        for prefix in self.setup.addresses.clone() {
            if self.nodes[node].kernel.remove(prefix) {
                let interface = INDEX;
                self.tell(node, Input::AddressGone { interface, prefix });
            }
        }
    }

    /// The kernel refuses to change addresses from now on, or no longer.
    pub(crate) fn set_refuses(&mut self, node: usize, refuses: bool) {
        self.nodes[node].kernel.refuses = refuses;
        self.nodes[node].refused_until = self.now;
    }

    /// A reload with another base priority. An owner stays one.
    pub(crate) fn set_priority(&mut self, node: usize, priority: u8) {
        if self.setup.nodes[node].priority != 255 {
            self.setup.nodes[node].priority = priority;
            self.reconfigure(node);
        }
    }

    /// Another configuration for the router of this node.
    pub(crate) fn reconfigure(&mut self, node: usize) {
        let settings = self.setup.settings(node);
        self.note(node, || "is reconfigured".to_owned());
        self.nodes[node].settings = settings.clone();
        self.tell(node, Input::Reconfigure(settings));
    }

    // How time passes.

    /// Does the next thing; false when there is none up to `until`, or a property was violated.
    fn step(&mut self, until: Time) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let happening = self.queue.first_key_value().map(|((at, _), _)| *at);
        let tick = (0..self.nodes.len())
            .filter_map(|node| Some((self.nodes[node].wakes_at()?.max(self.now), node)))
            .min();
        match (happening, tick) {
            (Some(at), _) if at <= until && tick.is_none_or(|(tick, _)| at <= tick) => {
                self.now = at;
                if let Some((_, happening)) = self.queue.pop_first() {
                    self.happen(happening);
                }
            }
            (_, Some((at, node))) if at <= until => {
                self.now = at;
                self.tick(node);
            }
            _ => {
                self.now = until;
                return false;
            }
        }
        true
    }

    fn tick(&mut self, node: usize) {
        self.ticks = match self.ticks {
            (at, of, count) if (at, of) == (self.now, node) => (at, of, count + 1),
            _ => (self.now, node, 1),
        };
        if self.ticks.2 > SPIN {
            self.violate(|| format!("n{node} spins: its deadline stays in the past"));
        }
        self.handle(node, Input::Tick);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { to, packet, noise } => self.arrive(to, packet, noise),
            Happening::Serve {
                node,
                process,
                request,
            } => self.serve(node, process, &request),
            Happening::Check { node, process } => {
                if self.nodes[node].process == process && self.nodes[node].engine.is_some() {
                    self.run_check(node);
                    let again = self.now + CHECK_INTERVAL;
                    self.schedule(again, Happening::Check { node, process });
                }
            }
            Happening::Noise { node } => self.make_noise(node),
            Happening::Fault(fault) => fault.strike(self),
        }
    }

    fn arrive(&mut self, to: usize, packet: Packet, noise: bool) {
        let node = &mut self.nodes[to];
        if !node.kernel.running || !node.kernel.listens_for(peek_id(&packet.bytes)) {
            return;
        }
        if node.paused {
            node.wait(packet);
            return;
        }
        if !noise {
            self.handle(to, Input::Packet(packet));
            return;
        }
        self.noise += 1;
        let before = self.router(to);
        self.journal.muted = true;
        let effects = self.handle(to, Input::Packet(packet));
        self.journal.muted = false;
        let only_told = effects
            .iter()
            .all(|effect| matches!(effect, Effect::Event(Event::Notice(_))));
        let after = self.router(to);
        let same = |before: &RouterStatus, after: &RouterStatus| {
            (before.state, before.phase, before.peer) == (after.state, after.phase, after.peer)
                && before.counters.received == after.counters.received
                && before.counters.rejected.values().sum::<u64>() + 1
                    == after.counters.rejected.values().sum::<u64>()
        };
        let unmoved = before.zip(after).is_some_and(|(b, a)| same(&b, &a));
        if !only_told || !unmoved {
            self.violate(|| format!("n{to}: a bad packet had an effect: {effects:?}"));
        }
    }

    /// The kernel serves a request; a process that is gone does not hear of it.
    fn serve(&mut self, node: usize, process: u32, request: &Request) {
        let alive = self.nodes[node].process == process;
        if !alive && matches!(request.effect, Effect::Listen { .. }) {
            return;
        }
        let (notifications, result) = self.nodes[node].kernel.serve(&request.effect);
        self.note(node, || {
            format!("kernel: {:?} -> {result:?}", request.effect)
        });
        for notification in notifications {
            self.tell(node, notification);
        }
        if alive {
            let action = request.action;
            self.tell(node, Input::Completed { action, result });
        }
    }

    fn run_check(&mut self, node: usize) {
        if self.setup.nodes[node].check.is_none() {
            return;
        }
        let healthy = self.nodes[node].healthy;
        let verdict = Verdict {
            check: CHECK.to_owned(),
            generation: self.nodes[node].settings.generation,
            outcome: Outcome::Report {
                status: if healthy {
                    Status::Healthy
                } else {
                    Status::Unhealthy
                },
                weight: WeightChange::Unchanged,
                message: String::new(),
            },
            took: Duration::from_millis(1),
        };
        self.tell(node, Input::Verdict(verdict));
    }

    // How things reach a node, and what it does.

    /// Hands an input over, or keeps it while the process is paused.
    fn tell(&mut self, node: usize, input: Input) {
        if self.nodes[node].runs() {
            self.handle(node, input);
        } else if self.nodes[node].engine.is_some() {
            self.nodes[node].inbox.push_back(input);
        }
    }

    fn handle(&mut self, node: usize, input: Input) -> Vec<Effect> {
        let now = self.both_clocks();
        let Some(engine) = self.nodes[node].engine.as_mut() else {
            return Vec::new();
        };
        self.journal
            .line(self.now, || format!("n{node} <- {}", faults::brief(&input)));
        let completed = matches!(input, Input::Completed { .. });
        let actions: Vec<_> = engine.handle(now, input).into_iter().collect();
        let stopped = engine.stopped();
        if completed {
            self.nodes[node].under_way = self.nodes[node].under_way.saturating_sub(1);
        }
        let count = actions.len();
        if count > ACTIONS {
            self.violate(|| format!("n{node}: one input led to {count} actions"));
        }
        let mut effects = Vec::with_capacity(count);
        for action in actions {
            effects.push(action.effect.clone());
            self.execute(
                node,
                Request {
                    action: action.id,
                    effect: action.effect,
                },
            );
        }
        if stopped {
            self.note(node, || "has stopped".to_owned());
            self.nodes[node].end();
            if self.nodes[node].held() > 0 && !self.nodes[node].cannot_help_it(self.now) {
                self.violate(|| format!("n{node} stopped and left its addresses behind"));
            }
        }
        self.inspect(node);
        effects
    }

    fn execute(&mut self, node: usize, request: Request) {
        match &request.effect {
            Effect::Send { source, bytes, .. } => self.send(node, *source, bytes),
            Effect::Announce { frames, .. } => self.announce(node, frames),
            Effect::Listen { .. }
            | Effect::AddAddresses { .. }
            | Effect::RemoveAddresses { .. } => self.request(node, request),
            Effect::Remember(record) => self.nodes[node].remember(record.clone()),
            Effect::Event(Event::Transition(transition)) => {
                let before = self.nodes[node].state.replace(transition.to);
                if before != Some(transition.from) {
                    self.violate(|| format!("n{node} was {before:?}, not {}", transition.from));
                }
                self.note(node, || {
                    format!(
                        "{} -> {}: {}",
                        transition.from,
                        transition.to,
                        transition.why()
                    )
                });
                self.journal.changed.push(Changed {
                    at: self.now,
                    node,
                    transition: transition.clone(),
                });
            }
            Effect::Event(Event::Check(change)) => {
                self.note(node, || format!("check {}: {}", change.check, change.to));
            }
            Effect::Event(Event::Notice(notice)) => {
                self.note(node, || format!("{}: {}", notice.subject, notice.message));
            }
        }
    }

    fn request(&mut self, node: usize, request: Request) {
        let delay = self.setup.kernel_delay.clone();
        let delay = self.random.duration(delay);
        let node_ = &mut self.nodes[node];
        let at = node_.kernel_free_at.max(self.now) + delay;
        node_.kernel_free_at = at;
        node_.under_way += 1;
        let process = node_.process;
        self.schedule(
            at,
            Happening::Serve {
                node,
                process,
                request,
            },
        );
    }

    fn send(&mut self, node: usize, source: std::net::Ipv4Addr, bytes: &[u8]) {
        let primary = self.nodes[node].primary;
        let sent = match Advertisement::parse(bytes, source, GROUP, HOP_LIMIT) {
            Ok(read) if source == primary => Sent {
                at: self.now,
                node,
                priority: read.priority,
            },
            _ => return self.violate(|| format!("n{node} sent from {source}: {bytes:02x?}")),
        };
        self.note(node, || format!("advertises {}", sent.priority));
        self.journal.sent.push(sent);
        if !self.nodes[node].kernel.running {
            return;
        }
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            let carried = self.network.carry(node, to, self.now, &mut self.random);
            if let Some(at) = carried {
                let packet = Packet {
                    interface: INDEX,
                    source,
                    destination: GROUP,
                    hop_limit: HOP_LIMIT,
                    received_at: at,
                    bytes: bytes.to_vec(),
                };
                let noise = false;
                self.schedule(at, Happening::Arrive { to, packet, noise });
            }
        }
    }

    fn announce(&mut self, node: usize, frames: &[Vec<u8>]) {
        for frame in frames {
            let Some((address, mac)) = read_gratuitous(frame) else {
                return self.violate(|| format!("n{node} announces {frame:02x?}"));
            };
            self.note(node, || format!("announces {address}"));
            if mac != self.nodes[node].mac() || !self.nodes[node].kernel.has(address) {
                return self.violate(|| format!("n{node} announces {address}, which it hasn't"));
            }
            if self.nodes[node].kernel.running {
                self.network.learn(address, mac);
            }
        }
    }

    fn make_noise(&mut self, node: usize) {
        let sender = (node + 1) % self.nodes.len();
        let packet = faults::bad_packet(&mut self.random, &self.setup, sender, self.now);
        self.arrive(node, packet, true);
        if let Some(apart) = self.noise_interval() {
            let at = self.now + self.random.duration(apart / 2..apart * 2);
            self.schedule(at, Happening::Noise { node });
        }
    }

    fn noise_interval(&self) -> Option<Duration> {
        (self.setup.noise > 0).then(|| Duration::from_secs(1) / self.setup.noise as u32)
    }

    // What must hold at every instant.

    fn inspect(&mut self, node: usize) {
        self.count_actives();
        let actives = self.journal.actives.last().map_or(0, |(_, count)| *count);
        if let Some(expected) = self.expect_actives
            && actives != expected
        {
            self.violate(|| {
                format!("{actives} nodes are active on a stable segment, not {expected}")
            });
        }
        let Some(state) = self.nodes[node].state else {
            return;
        };
        if self.nodes[node].held() > 0 && state != RouterState::Active {
            let may_hold = self.phase(node).is_some() || self.nodes[node].cannot_help_it(self.now);
            if !may_hold && self.nodes[node].under_way == 0 {
                self.violate(|| format!("n{node} holds addresses in {state}"));
            }
        }
    }

    fn count_actives(&mut self) {
        let count = self.actives().len();
        self.journal.count_actives(self.now, count);
    }

    pub(crate) fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let what = what();
            self.journal.line(self.now, || format!("VIOLATED: {what}"));
            self.violation = Some(what);
        }
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    fn note(&mut self, node: usize, text: impl FnOnce() -> String) {
        self.journal
            .line(self.now, || format!("n{node} {}", text()));
    }

    /// What a node's process says of its router, while it lives.
    pub(crate) fn router(&self, node: usize) -> Option<RouterStatus> {
        let engine = self.nodes[node].engine.as_ref()?;
        engine.status(self.both_clocks()).routers.into_iter().next()
    }

    pub(crate) fn phase(&self, node: usize) -> Option<Phase> {
        self.router(node)?.phase
    }

    fn both_clocks(&self) -> Now {
        Now {
            boottime: self.now,
            realtime: Realtime(1_700_000_000_000 + self.now.since_boot().as_millis() as u64),
        }
    }
}
