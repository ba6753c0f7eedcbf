//! The engine: hands each input to those it concerns and collects what they want done.

mod configuration;
mod leftovers;
mod listening;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use leftovers::Leftovers;
use listening::Listening;

use crate::action::{ActionId, Actions, Effect};
use crate::address::{InterfaceIndex, Prefix};
use crate::deadlines::{Deadlines, Holder};
use crate::event::{Cause, Event};
use crate::health::{Check, Checks};
use crate::input::{Command, Failure, Input, Packet, Verdict};
use crate::interfaces::Interfaces;
use crate::outbox::{Outbox, Waiting};
use crate::record::{CheckRecord, Legacy, Record, RouterKey, RouterRecord};
use crate::settings::Settings;
use crate::status::{Explanation, InterfaceStatus, Status};
use crate::time::{Now, Time};
use crate::vrrp::{Context, Router};
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
    leftovers: Leftovers,
    /// Packets that no router was found for, by interface name and reason.
    rejected: BTreeMap<String, BTreeMap<String, u64>>,
    deadlines: Deadlines,
    outbox: Outbox,
    looked: bool,
    reloading: bool,
    stopping: bool,
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
            leftovers: Leftovers::default(),
            rejected: BTreeMap::new(),
            deadlines: Deadlines::default(),
            outbox: Outbox::default(),
            looked: false,
            reloading: false,
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
            Input::Reconfigure(settings) => {
                self.reloading = true;
                self.reconfigure(now, &settings);
                self.reloading = false;
            }
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

    /// Whether everything has been let go after [`Command::Stop`], also what an earlier process has
    /// left: never before the first snapshot.
    pub fn stopped(&self) -> bool {
        self.stopping
            && self.looked
            && !self.outbox.changes_addresses()
            && self.routers.iter().all(Router::let_go)
    }

    /// Addresses of ours that the kernel has, each with the name of its interface: what a manifest
    /// must go on to list.
    pub fn owned_addresses(&self) -> Vec<(String, Prefix)> {
        let named = self.interfaces.ours().filter_map(|(index, prefix)| {
            let name = self.interfaces.name(index)?;
            Some((name.to_owned(), prefix))
        });
        named.collect()
    }

    /// Whether a router on this interface listened to this address at that time: the last
    /// advertisement that it accepted came from there, less than its down interval before.
    pub fn hears(&self, interface: InterfaceIndex, source: Ipv4Addr, at: Time) -> bool {
        let mut there = self
            .routers
            .iter()
            .filter(|router| router.index() == Some(interface));
        there.any(|router| router.hears(source, at))
    }

    /// What people see now.
    pub fn status(&self, now: Now) -> Status {
        Status {
            routers: self
                .routers
                .iter()
                .map(|router| router.status(now, &self.interfaces, &self.checks))
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
            if let Some(complaint) = check.complain(&verdict.outcome, now.boottime) {
                let subject = format!("check {}", check.name());
                self.outbox.notice(subject, true, complaint);
            }
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
        if let Some(change) = check.change(now.realtime) {
            self.outbox.push(Effect::Event(Event::Check(change)));
        }
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
                self.leftovers_answered(now, interface, result);
            }
            None => {}
        }
    }

    fn tick(&mut self, now: Now) {
        // A timer that is armed for this very moment runs in the same tick, but only so often that
        // no mistake could keep the engine here.
        let holders = self.routers.len() + self.checks.iter().len() + self.listening.len() + 1;
        for _ in 0..2 * (holders + 1) {
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
                Some(Holder::Leftovers) => self.remove_leftovers(),
                Some(Holder::Socket(_)) => self.listen(),
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
        self.remove_leftovers();
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
            reloading: self.reloading,
        };
        act(router, &mut context);
        self.deadlines.set(Holder::Router(index), router.deadline());
    }
}
