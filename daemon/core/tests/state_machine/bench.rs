//! One engine with one router, and a test that plays everybody else.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::Engine;
use mainstay_core::action::{ActionId, Effect};
use mainstay_core::address::{Family, InterfaceIndex, Prefix};
use mainstay_core::event::{Cause, Event, Notice, RouterState, Transition};
use mainstay_core::input::{
    Address, Command, Failure, Input, Link, Mark, Outcome, Packet, Snapshot, Status, Verdict,
    WeightChange,
};
use mainstay_core::record::{Legacy, Record, RouterKey, RouterRecord};
use mainstay_core::settings::{
    AnnounceSettings, Authentication, CheckSettings, ChecksumForm, Initial, OnError,
    RouterSettings, Settings, Track, Version,
};
use mainstay_core::status::{Phase, RouterStatus};
use mainstay_core::time::{Now, Realtime, Time};
use mainstay_core::wire::vrrp::{Advertisement, GROUP, Outgoing, emit};

pub(crate) const INDEX: InterfaceIndex = InterfaceIndex(2);
pub(crate) const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
/// A peer whose address is lower than [`OWN`].
pub(crate) const LOWER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 9);
/// A peer whose address is greater than [`OWN`].
pub(crate) const GREATER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Priority of the router, unless a test changes it.
pub(crate) const PRIORITY: u8 = 100;

pub(crate) fn prefix(address: Ipv4Addr) -> Prefix {
    Prefix::new(address, 24).expect("24 is a prefix length")
}

/// The router of the tests: version 3, one second, preempting.
pub(crate) fn router() -> RouterSettings {
    RouterSettings {
        name: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        id: NonZeroU8::new(51).expect("not zero"),
        family: Family::Ipv4,
        version: Version::V3,
        priority: NonZeroU8::new(PRIORITY).expect("not zero"),
        advert_interval: SECOND,
        preempt: true,
        down_timer_adverts: 3,
        authentication: Authentication::None,
        checksum: ChecksumForm::PseudoHeader,
        addresses: vec![prefix(VIP)],
        track: Vec::new(),
        announce: AnnounceSettings::default(),
    }
}

pub(crate) fn with_priority(priority: u8) -> RouterSettings {
    RouterSettings {
        priority: NonZeroU8::new(priority).expect("not zero"),
        ..router()
    }
}

/// The router, tracking a check named `nginx`.
pub(crate) fn tracking(weight: Option<i16>) -> RouterSettings {
    RouterSettings {
        track: vec![Track {
            check: "nginx".to_owned(),
            weight,
        }],
        ..router()
    }
}

/// `Skew_Time` of a priority at one second (`V3-32`).
pub(crate) fn skew(priority: u8) -> Duration {
    SECOND * (256 - u32::from(priority)) / 256
}

/// `Active_Down_Interval` of a priority at one second (`V3-32`).
pub(crate) fn down(priority: u8) -> Duration {
    3 * SECOND + skew(priority)
}

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) settings: RouterSettings,
    pub(crate) now: Time,
    /// What the last call of a method led to, kernel's answers included.
    pub(crate) effects: Vec<Effect>,
    /// What the kernel has.
    pub(crate) addresses: Vec<Prefix>,
    /// Requests stay unanswered.
    pub(crate) silent: bool,
    /// Requests fail.
    pub(crate) refuses: bool,
    /// Requests that were not answered.
    pub(crate) unanswered: Vec<(ActionId, Effect)>,
    generation: u64,
}

impl Bench {
    /// A process that has begun and not looked at the kernel yet.
    pub(crate) fn new(settings: RouterSettings) -> Self {
        Self::with_legacy(settings, Vec::new(), Vec::new())
    }

    fn with_legacy(settings: RouterSettings, records: Vec<Record>, held: Vec<Prefix>) -> Self {
        let now = Time::from_boot(Duration::from_secs(1_000));
        let legacy = Legacy {
            records,
            manifest: held.iter().map(|held| ("eth0".to_owned(), *held)).collect(),
        };
        let engine = Engine::new(both(now), &whole(&settings, 1), legacy);
        Self {
            engine,
            settings,
            now,
            effects: Vec::new(),
            addresses: held,
            silent: false,
            refuses: false,
            unanswered: Vec::new(),
            generation: 1,
        }
    }

    /// A process that was active `silent_for` ago and has left its address.
    pub(crate) fn restarted(settings: RouterSettings, silent_for: Duration) -> Self {
        let record = RouterRecord {
            key: RouterKey {
                interface: "eth0".to_owned(),
                family: Family::Ipv4,
                id: 51,
            },
            state: RouterState::Active,
            at: Time::from_boot(Duration::from_secs(1_000)) - silent_for,
        };
        Self::with_legacy(settings, vec![Record::Router(record)], vec![prefix(VIP)])
    }

    /// In `backup` since now.
    pub(crate) fn backup(settings: RouterSettings) -> Self {
        let mut bench = Self::new(settings);
        bench.look();
        assert_eq!(bench.state(), RouterState::Backup);
        bench
    }

    /// In `active` since now, with its addresses.
    pub(crate) fn active(settings: RouterSettings) -> Self {
        let mut bench = Self::backup(settings);
        bench.run_to_deadline();
        assert_eq!(bench.state(), RouterState::Active);
        bench
    }

    // Inputs.

    pub(crate) fn look(&mut self) {
        let ours = self.addresses.iter().map(|prefix| Address {
            interface: INDEX,
            prefix: *prefix,
            mark: Mark::Ours,
            secondary: true,
        });
        let own = Address {
            interface: INDEX,
            prefix: prefix(OWN),
            mark: Mark::Other,
            secondary: false,
        };
        let snapshot = Snapshot {
            links: vec![link(true)],
            addresses: [own].into_iter().chain(ours).collect(),
        };
        self.input(Input::Snapshot(snapshot));
    }

    /// An advertisement of the router's own version and interval.
    pub(crate) fn hear(&mut self, source: Ipv4Addr, priority: u8) {
        self.hear_with(source, priority, self.settings.advert_interval);
    }

    pub(crate) fn hear_with(&mut self, source: Ipv4Addr, priority: u8, interval: Duration) {
        let packet = self.packet(source, priority, interval);
        self.input(Input::Packet(packet));
    }

    pub(crate) fn packet(&self, source: Ipv4Addr, priority: u8, interval: Duration) -> Packet {
        let bytes = emit(&Outgoing {
            version: self.settings.version,
            id: self.settings.id,
            priority,
            interval,
            addresses: &[VIP],
            authentication: &self.settings.authentication,
            checksum: self.settings.checksum,
            source,
            destination: GROUP,
        });
        Packet {
            interface: INDEX,
            source,
            destination: GROUP,
            hop_limit: 255,
            received_at: self.now,
            bytes,
        }
    }

    pub(crate) fn stop(&mut self) {
        self.input(Input::Command(Command::Stop));
    }

    pub(crate) fn set_link(&mut self, running: bool) {
        self.input(Input::Link(link(running)));
    }

    /// A verdict of the check that [`tracking`] names.
    pub(crate) fn judge(&mut self, status: Status) {
        self.judge_with(status, WeightChange::Unchanged);
    }

    pub(crate) fn judge_with(&mut self, status: Status, weight: WeightChange) {
        self.judge_check("nginx", status, weight);
    }

    pub(crate) fn judge_check(&mut self, check: &str, status: Status, weight: WeightChange) {
        let verdict = Verdict {
            check: check.to_owned(),
            generation: self.generation,
            outcome: Outcome::Report {
                status,
                weight,
                message: "said so".to_owned(),
            },
            took: Duration::from_millis(3),
        };
        self.input(Input::Verdict(verdict));
    }

    /// A run of the check that [`tracking`] names, without an answer.
    pub(crate) fn err(&mut self, message: &str) {
        let verdict = Verdict {
            check: "nginx".to_owned(),
            generation: self.generation,
            outcome: Outcome::Fault {
                message: message.to_owned(),
            },
            took: Duration::from_millis(3),
        };
        self.input(Input::Verdict(verdict));
    }

    pub(crate) fn reconfigure(&mut self, settings: RouterSettings) {
        self.generation += 1;
        self.settings = settings;
        let whole = whole(&self.settings, self.generation);
        self.input(Input::Reconfigure(Arc::new(whole)));
    }

    /// A reload with other plugins for the same checks.
    pub(crate) fn replace_checks(&mut self) {
        self.generation += 1;
        let mut whole = whole(&self.settings, self.generation);
        for check in &mut whole.checks {
            check.identity = [2; 32];
        }
        self.input(Input::Reconfigure(Arc::new(whole)));
    }

    pub(crate) fn remove_router(&mut self) {
        self.generation += 1;
        let none = Settings {
            generation: self.generation,
            routers: Vec::new(),
            checks: Vec::new(),
        };
        self.input(Input::Reconfigure(Arc::new(none)));
    }

    /// Somebody else takes an address away.
    pub(crate) fn lose(&mut self, address: Ipv4Addr) {
        self.addresses.retain(|prefix| prefix.address() != address);
        self.input(Input::AddressGone {
            interface: INDEX,
            prefix: prefix(address),
        });
    }

    pub(crate) fn tick(&mut self) {
        self.input(Input::Tick);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Lets time pass with a tick at every deadline.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        let mut effects = Vec::new();
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.tick();
            effects.append(&mut self.effects);
        }
        self.now = until;
        self.effects = effects;
    }

    pub(crate) fn run_to_deadline(&mut self) {
        self.now = self.engine.next_deadline().expect("a timer");
        self.tick();
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.effects.clear();
        self.handle(input);
    }

    fn handle(&mut self, input: Input) {
        let actions: Vec<_> = self
            .engine
            .handle(both(self.now), input)
            .into_iter()
            .collect();
        for action in actions {
            self.effects.push(action.effect.clone());
            self.serve(action.id, action.effect);
        }
    }

    fn serve(&mut self, id: ActionId, effect: Effect) {
        let asked = matches!(
            effect,
            Effect::Listen { .. } | Effect::AddAddresses { .. } | Effect::RemoveAddresses { .. }
        );
        if !asked {
            return;
        }
        if self.silent {
            self.unanswered.push((id, effect));
            return;
        }
        self.answer(id, &effect);
    }

    /// The kernel answers a request.
    pub(crate) fn answer(&mut self, id: ActionId, effect: &Effect) {
        if self.refuses {
            let failure = Failure {
                errno: Some(105),
                message: "no buffer space".to_owned(),
            };
            let result = Err(failure);
            return self.handle(Input::Completed { action: id, result });
        }
        match effect {
            Effect::AddAddresses {
                interface,
                addresses,
            } => {
                for prefix in addresses {
                    self.addresses.push(*prefix);
                    self.handle(Input::Address(Address {
                        interface: *interface,
                        prefix: *prefix,
                        mark: Mark::Ours,
                        secondary: true,
                    }));
                }
            }
            Effect::RemoveAddresses {
                interface,
                addresses,
            } => {
                for prefix in addresses {
                    self.addresses.retain(|known| known != prefix);
                    let interface = *interface;
                    let prefix = *prefix;
                    self.handle(Input::AddressGone { interface, prefix });
                }
            }
            Effect::Listen { .. }
            | Effect::Send { .. }
            | Effect::Announce { .. }
            | Effect::Remember(_)
            | Effect::Event(_) => {}
        }
        let result = Ok(());
        self.handle(Input::Completed { action: id, result });
    }

    /// The kernel answers everything that it has left unanswered.
    pub(crate) fn answer_all(&mut self) {
        self.effects.clear();
        self.silent = false;
        for (id, effect) in std::mem::take(&mut self.unanswered) {
            self.answer(id, &effect);
        }
    }

    // What came of it.

    pub(crate) fn status(&self) -> mainstay_core::status::Status {
        self.engine.status(both(self.now))
    }

    pub(crate) fn router(&self) -> RouterStatus {
        self.status().routers.into_iter().next().expect("a router")
    }

    pub(crate) fn state(&self) -> RouterState {
        self.router().state
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        self.router().phase
    }

    /// Whether the virtual address is on the interface.
    pub(crate) fn holds(&self) -> bool {
        self.addresses.contains(&prefix(VIP))
    }

    /// Priorities of the advertisements sent.
    pub(crate) fn sent(&self) -> Vec<u8> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { bytes, source, .. } => {
                let read = Advertisement::parse(bytes, *source, GROUP, 255);
                Some(read.expect("a valid advertisement").priority)
            }
            _ => None,
        });
        sent.collect()
    }

    /// How many frames were announced.
    pub(crate) fn announced(&self) -> usize {
        let announced = self.effects.iter().map(|effect| match effect {
            Effect::Announce { frames, .. } => frames.len(),
            _ => 0,
        });
        announced.sum()
    }

    pub(crate) fn transitions(&self) -> Vec<&Transition> {
        let transitions = self.effects.iter().filter_map(|effect| match effect {
            Effect::Event(Event::Transition(transition)) => Some(transition),
            _ => None,
        });
        transitions.collect()
    }

    /// The changes of checks, as `FROM -> TO` with their sequence numbers.
    pub(crate) fn check_changes(&self) -> Vec<(u64, String)> {
        let changes = self.effects.iter().filter_map(|effect| match effect {
            Effect::Event(Event::Check(change)) => {
                let from = change
                    .from
                    .map_or_else(|| "-".to_owned(), |from| from.to_string());
                Some((change.sequence, format!("{from} -> {}", change.to)))
            }
            _ => None,
        });
        changes.collect()
    }

    /// The causes of the only transition.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        let transitions = self.transitions();
        assert_eq!(transitions.len(), 1, "{:?}", self.effects);
        transitions[0].causes.clone()
    }

    pub(crate) fn notices(&self) -> Vec<&Notice> {
        let notices = self.effects.iter().filter_map(|effect| match effect {
            Effect::Event(Event::Notice(notice)) => Some(notice),
            _ => None,
        });
        notices.collect()
    }

    /// The wall clock.
    pub(crate) fn wall(&self) -> Realtime {
        both(self.now).realtime
    }

    /// From now to the next deadline.
    pub(crate) fn wait(&self) -> Option<Duration> {
        Some(self.engine.next_deadline()?.since(self.now))
    }
}

/// One interface, `eth0`.
pub(crate) fn link(running: bool) -> Link {
    Link {
        index: INDEX,
        name: "eth0".to_owned(),
        mac: Some(MAC),
        running,
    }
}

fn whole(router: &RouterSettings, generation: u64) -> Settings {
    let checks = router.track.iter().map(|track| CheckSettings {
        plugin: "process".to_owned(),
        name: track.check.clone(),
        identity: [1; 32],
        rise: 1,
        fall: 1,
        initial: Initial::Unhealthy,
        on_error: OnError::Keep,
        stale_after: 10 * SECOND,
    });
    Settings {
        generation,
        routers: vec![router.clone()],
        checks: checks.collect(),
    }
}

fn both(now: Time) -> Now {
    Now {
        boottime: now,
        realtime: Realtime(1_700_000_000_000 + now.since_boot().as_millis() as u64),
    }
}
