//! The engine: hands each input to those it concerns and collects what they want done.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::action::{ActionId, Actions, Effect};
use crate::address::{InterfaceIndex, Prefix};
use crate::deadlines::{Deadlines, Holder};
use crate::event::Cause;
use crate::health::{Check, Checks};
use crate::input::{Command, Failure, Input, Packet, Verdict};
use crate::interfaces::Interfaces;
use crate::outbox::{Outbox, Waiting};
use crate::record::{CheckRecord, Legacy, Record, RouterKey, RouterRecord};
use crate::settings::{CheckSettings, RouterSettings, Settings};
use crate::status::{Explanation, InterfaceStatus, Status};
use crate::time::{Now, Time};
use crate::vrrp::{Context, Router, Socket};
use crate::wire::{Reject, vrrp};

/// The decisions of one node.
///
/// Give it a [`Snapshot`](Input::Snapshot) first: until then no router leaves `initialize`.
#[derive(Debug)]
pub struct Engine {
    generation: u64,
    routers: Vec<Router>,
    checks: Checks,
    /// Which router a packet is for.
    routes: HashMap<(InterfaceIndex, u8), usize>,
    /// Which routers track a check, by the check's name.
    trackers: HashMap<String, Vec<usize>>,
    interfaces: Interfaces,
    listening: BTreeMap<InterfaceIndex, Listening>,
    /// Packets that no router was found for, by interface name and reason.
    rejected: BTreeMap<String, BTreeMap<String, u64>>,
    deadlines: Deadlines,
    outbox: Outbox,
    looked: bool,
    stopping: bool,
}

/// The VRRP socket of an interface.
#[derive(Debug)]
struct Listening {
    ids: BTreeSet<u8>,
    socket: Socket,
    /// The latest request; an answer to an earlier one says nothing.
    request: ActionId,
}

impl Engine {
    /// An engine with its configuration and with what an earlier process has left.
    pub fn new(now: Now, settings: &Settings, legacy: Legacy) -> Self {
        let mut routers_before: HashMap<RouterKey, RouterRecord> = HashMap::new();
        let mut checks_before: HashMap<[u8; 32], CheckRecord> = HashMap::new();
        for record in legacy.records {
            match record {
                Record::Router(record) => {
                    routers_before.insert(record.key.clone(), record);
                }
                Record::Check(record) => {
                    checks_before.insert(record.identity, record);
                }
            }
        }
        let checks = settings.checks.iter().map(|check| {
            Check::new(
                check.clone(),
                checks_before.get(&check.identity),
                now.boottime,
            )
        });
        let routers = settings.routers.iter().map(|settings| {
            let legacy = routers_before.remove(&RouterKey::of(settings));
            Router::new(settings.clone(), legacy, now)
        });
        let mut engine = Self {
            generation: settings.generation,
            routers: routers.collect(),
            checks: Checks::new(checks.collect()),
            routes: HashMap::new(),
            trackers: HashMap::new(),
            interfaces: Interfaces::new(legacy.manifest),
            listening: BTreeMap::new(),
            rejected: BTreeMap::new(),
            deadlines: Deadlines::default(),
            outbox: Outbox::default(),
            looked: false,
            stopping: false,
        };
        engine.index();
        engine
    }

    /// Takes one input and answers with what is to be done, in order.
    ///
    /// `now` must not go back. Inputs may come in any order and at any time; spurious ones are
    /// harmless.
    pub fn handle(&mut self, now: Now, input: Input) -> Actions {
        match input {
            Input::Packet(packet) => self.packet(now, &packet),
            Input::Link(link) => {
                self.interfaces.set_link(link);
                self.review_all(now);
            }
            Input::LinkGone(index) => {
                self.interfaces.remove_link(index);
                self.review_all(now);
            }
            Input::Address(address) => {
                self.interfaces.set_address(address);
                self.review_on(now, address.interface);
            }
            Input::AddressGone { interface, prefix } => {
                self.interfaces.remove_address(interface, prefix);
                self.review_on(now, interface);
            }
            Input::Snapshot(snapshot) => {
                self.interfaces.replace(snapshot);
                self.looked = true;
                self.review_all(now);
            }
            Input::Verdict(verdict) => self.verdict(now, verdict),
            Input::Command(Command::Stop) => self.stop(now),
            Input::Reconfigure(settings) => self.reconfigure(now, &settings),
            Input::Completed { action, result } => self.completed(now, action, result),
            Input::Tick => self.tick(now),
        }
        self.drop_removed();
        self.outbox.take()
    }

    /// When a [`Tick`](Input::Tick) is due at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// Whether everything has been let go after [`Command::Stop`].
    pub fn stopped(&self) -> bool {
        self.stopping && !self.outbox.changes_addresses() && self.routers.iter().all(Router::let_go)
    }

    /// What people see.
    pub fn status(&self) -> Status {
        Status {
            routers: self
                .routers
                .iter()
                .map(|router| router.status(&self.interfaces, &self.checks))
                .collect(),
            checks: self.checks.iter().map(Check::status).collect(),
            interfaces: self
                .rejected
                .iter()
                .map(|(name, rejected)| InterfaceStatus {
                    name: name.clone(),
                    rejected: rejected.clone(),
                })
                .collect(),
        }
    }

    /// Why the routers are in their states: all of them, or those of one name.
    pub fn explain(&self, name: Option<&str>) -> Vec<Explanation> {
        self.routers
            .iter()
            .filter(|router| name.is_none_or(|name| router.settings().name == name))
            .map(Router::explain)
            .collect()
    }

    fn packet(&mut self, now: Now, packet: &Packet) {
        let id = vrrp::peek_id(&packet.bytes);
        let route = id.and_then(|id| self.routes.get(&(packet.interface, id)).copied());
        match route {
            Some(index) => self.with_router(now, index, |router, context| {
                router.receive(context, packet);
            }),
            None => self.reject(packet, id),
        }
    }

    /// Counts a packet that no router was found for.
    fn reject(&mut self, packet: &Packet, id: Option<u8>) {
        let Some(name) = self.interfaces.name(packet.interface) else {
            return;
        };
        let reject = match id {
            Some(_) => Reject::VirtualRouterId,
            None => Reject::TooShort,
        };
        let counters = self.rejected.entry(name.to_owned()).or_default();
        *counters.entry(reject.as_str().to_owned()).or_default() += 1;
    }

    fn verdict(&mut self, now: Now, verdict: Verdict) {
        if verdict.generation != self.generation {
            return;
        }
        let Some(position) = self.checks.position(&verdict.check) else {
            return;
        };
        if let Some(check) = self.checks.at(position) {
            let changed = check.report(verdict, now.boottime);
            self.check_settled(now, position, changed);
        }
    }

    /// Draws the consequences after something was said by or of a check.
    fn check_settled(&mut self, now: Now, position: usize, changed: bool) {
        let Some(check) = self.checks.at(position) else {
            return;
        };
        let name = check.name().to_owned();
        if let Some(record) = check.record() {
            self.outbox.push(Effect::Remember(Record::Check(record)));
        }
        self.deadlines
            .set(Holder::Check(position), check.deadline());
        if !changed {
            return;
        }
        let status = check.status();
        let word = if status.in_service {
            "in service"
        } else {
            "out of service"
        };
        self.outbox.notice(
            format!("check {name}"),
            !status.in_service,
            format!("{word}: {}", status.message),
        );
        if !self.looked {
            return;
        }
        for index in self.trackers.get(&name).cloned().unwrap_or_default() {
            self.with_router(now, index, |router, context| router.review(context));
        }
    }

    fn stop(&mut self, now: Now) {
        self.stopping = true;
        for index in 0..self.routers.len() {
            self.with_router(now, index, |router, context| {
                router.stop(context, Cause::Stop);
            });
        }
    }

    /// Takes another configuration. What keeps its identity keeps its state (architecture rule 10).
    fn reconfigure(&mut self, now: Now, settings: &Settings) {
        self.generation = settings.generation;
        self.replace_checks(now, &settings.checks);
        let mut wanted: HashMap<RouterKey, &RouterSettings> = HashMap::new();
        for router in &settings.routers {
            wanted.insert(RouterKey::of(router), router);
        }
        for index in 0..self.routers.len() {
            let settings = wanted.remove(self.routers[index].key());
            self.with_router(now, index, |router, context| match settings {
                Some(settings) => {
                    if router.is_removed() {
                        router.revive();
                    }
                    router.reconfigure(context, settings.clone());
                }
                None if !router.is_removed() => router.stop(context, Cause::Removed),
                None => {}
            });
        }
        let new = wanted.into_values().cloned();
        self.routers
            .extend(new.map(|settings| Router::new(settings, None, now)));
        let order: HashMap<RouterKey, usize> = settings
            .routers
            .iter()
            .enumerate()
            .map(|(place, settings)| (RouterKey::of(settings), place))
            .collect();
        self.routers
            .sort_by_key(|router| order.get(router.key()).copied().unwrap_or(usize::MAX));
        self.index();
        self.review_all(now);
    }

    fn replace_checks(&mut self, now: Now, settings: &[CheckSettings]) {
        let mut before: Vec<Check> = std::mem::take(&mut self.checks).into_list();
        let after = settings.iter().map(|settings| {
            match before
                .iter()
                .position(|check| check.identity() == settings.identity)
            {
                Some(position) => {
                    let mut check = before.swap_remove(position);
                    check.reconfigure(settings.clone());
                    check
                }
                None => Check::new(settings.clone(), None, now.boottime).on_probation(now.boottime),
            }
        });
        self.checks = Checks::new(after.collect());
    }

    fn completed(&mut self, now: Now, action: ActionId, result: Result<(), Failure>) {
        match self.outbox.complete(action) {
            Some(Waiting::Socket(interface)) => {
                self.socket_answered(now, interface, action, result)
            }
            Some(Waiting::Router(key)) => {
                if let Some(index) = self.routers.iter().position(|router| *router.key() == key) {
                    self.with_router(now, index, |router, context| {
                        router.addresses_changed(context, action, result);
                    });
                }
            }
            Some(Waiting::Leftovers(interface, _)) => {
                if let Err(failure) = result {
                    let name = self.interfaces.name(interface).unwrap_or("gone");
                    let subject = format!("interface {name}");
                    self.outbox.notice(subject, true, failure.message);
                }
            }
            None => {}
        }
    }

    fn socket_answered(
        &mut self,
        now: Now,
        interface: InterfaceIndex,
        action: ActionId,
        result: Result<(), Failure>,
    ) {
        let Some(listening) = self.listening.get_mut(&interface) else {
            return;
        };
        if listening.request != action {
            return;
        }
        listening.socket = match result {
            Ok(()) => Socket::Open,
            Err(failure) => Socket::Failed(failure.message),
        };
        self.review_on(now, interface);
    }

    fn tick(&mut self, now: Now) {
        // A timer that is armed for this very moment runs in the same tick, but only so often that
        // no mistake could keep the engine here.
        for _ in 0..2 * (self.routers.len() + 1) + self.checks.iter().len() {
            match self.deadlines.due(now.boottime) {
                Some(Holder::Router(index)) => {
                    self.with_router(now, index, |router, context| router.tick(context));
                }
                Some(Holder::Check(index)) => {
                    let Some(check) = self.checks.at(index) else {
                        self.deadlines.set(Holder::Check(index), None);
                        continue;
                    };
                    let changed = check.expire(now.boottime);
                    self.check_settled(now, index, changed);
                }
                None => break,
            }
        }
    }

    fn review_all(&mut self, now: Now) {
        if !self.looked {
            return;
        }
        self.listen();
        for index in 0..self.routers.len() {
            self.with_router(now, index, |router, context| router.review(context));
        }
        self.route();
        self.remove_leftovers();
    }

    fn route(&mut self) {
        let routers = self.routers.iter().enumerate();
        self.routes = routers
            .filter_map(|(index, router)| Some(((router.index()?, router.key().id), index)))
            .collect();
    }

    fn review_on(&mut self, now: Now, interface: InterfaceIndex) {
        if !self.looked {
            return;
        }
        for index in 0..self.routers.len() {
            let name = self.interfaces.name(interface);
            if name == Some(self.routers[index].key().interface.as_str()) {
                self.with_router(now, index, |router, context| router.review(context));
            }
        }
    }

    /// Asks for a socket wherever a router has an interface, and lets go of the others.
    fn listen(&mut self) {
        let mut wanted: BTreeMap<InterfaceIndex, BTreeSet<u8>> = BTreeMap::new();
        for router in &self.routers {
            if let Some(link) = self.interfaces.link(&router.key().interface) {
                wanted
                    .entry(link.index)
                    .or_default()
                    .insert(router.key().id);
            }
        }
        let gone: Vec<InterfaceIndex> = self
            .listening
            .keys()
            .filter(|index| !wanted.contains_key(index))
            .copied()
            .collect();
        for interface in gone {
            self.listening.remove(&interface);
            self.outbox.push(Effect::Listen {
                interface,
                name: String::new(),
                ids: Vec::new(),
            });
        }
        for (interface, ids) in wanted {
            let known = self.listening.get(&interface);
            if known.is_some_and(|known| known.ids == ids) {
                continue;
            }
            // Routers that are served already go on while the filter is widened.
            let socket = known.map_or(Socket::Pending, |known| known.socket.clone());
            let effect = Effect::Listen {
                interface,
                name: self
                    .interfaces
                    .name(interface)
                    .unwrap_or_default()
                    .to_owned(),
                ids: ids.iter().copied().collect(),
            };
            let request = self.outbox.expect(effect, Waiting::Socket(interface));
            let listening = Listening {
                ids,
                socket,
                request,
            };
            self.listening.insert(interface, listening);
        }
    }

    /// Removes addresses of ours that no router answers for: those of an earlier configuration, or
    /// those that a crash has left.
    fn remove_leftovers(&mut self) {
        let wanted: BTreeSet<(InterfaceIndex, Prefix)> = self
            .routers
            .iter()
            .filter_map(|router| Some((router.index()?, router)))
            .flat_map(|(index, router)| {
                let addresses = router.settings().addresses.iter();
                addresses.map(move |prefix| (index, *prefix))
            })
            .collect();
        let mut leftovers: BTreeMap<InterfaceIndex, Vec<Prefix>> = BTreeMap::new();
        for (index, prefix) in self.interfaces.ours() {
            if !wanted.contains(&(index, prefix)) && !self.outbox.removes_leftover(index, prefix) {
                leftovers.entry(index).or_default().push(prefix);
            }
        }
        for (interface, addresses) in leftovers {
            let waiting = Waiting::Leftovers(interface, addresses.clone());
            let effect = Effect::RemoveAddresses {
                interface,
                addresses,
            };
            self.outbox.expect(effect, waiting);
        }
    }

    fn with_router(
        &mut self,
        now: Now,
        index: usize,
        act: impl FnOnce(&mut Router, &mut Context<'_>),
    ) {
        let Some(router) = self.routers.get_mut(index) else {
            return;
        };
        if let Some(link) = self.interfaces.link(&router.key().interface)
            && let Some(listening) = self.listening.get(&link.index)
        {
            router.set_socket(listening.socket.clone());
        }
        let mut context = Context {
            now,
            interfaces: &mut self.interfaces,
            checks: &self.checks,
            outbox: &mut self.outbox,
        };
        act(router, &mut context);
        self.deadlines.set(Holder::Router(index), router.deadline());
    }

    fn drop_removed(&mut self) {
        let gone = |router: &Router| router.is_removed() && router.let_go();
        if self.routers.iter().any(gone) {
            self.routers.retain(|router| !gone(router));
            self.index();
            self.route();
            self.listen();
        }
    }

    /// Rebuilds what is derived from the lists of routers and checks.
    fn index(&mut self) {
        self.trackers.clear();
        self.deadlines.clear();
        for (index, router) in self.routers.iter().enumerate() {
            for track in &router.settings().track {
                self.trackers
                    .entry(track.check.clone())
                    .or_default()
                    .push(index);
            }
            for prefix in &router.settings().addresses {
                self.interfaces.claim(&router.key().interface, *prefix);
            }
            self.deadlines.set(Holder::Router(index), router.deadline());
        }
        for (index, check) in self.checks.iter().enumerate() {
            self.deadlines.set(Holder::Check(index), check.deadline());
        }
    }
}
