//! A virtual router: its state, and what people see of it.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::addresses::Holding;
use super::{intervals, priority};
use crate::action::Effect;
use crate::address::{InterfaceIndex, MacAddress, Prefix};
use crate::announce::Announcement;
use crate::event::{Cause, Event, Fault, RouterState, Transition};
use crate::health::Checks;
use crate::interfaces::Interfaces;
use crate::outbox::Outbox;
use crate::record::{Record, RouterKey, RouterRecord};
use crate::settings::RouterSettings;
use crate::status::{Explanation, PeerStatus, Phase, Priority, RouterCounters, RouterStatus};
use crate::time::{Now, Time};
use crate::wire::Reject;

/// Transitions that are kept for `explain`.
const HISTORY: usize = 32;

/// What a router may look at and act through while it handles one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) interfaces: &'a mut Interfaces,
    pub(crate) checks: &'a Checks,
    pub(crate) outbox: &'a mut Outbox,
}

#[derive(Debug)]
pub(crate) struct Router {
    pub(super) settings: RouterSettings,
    pub(super) key: RouterKey,
    pub(super) state: RouterState,
    pub(super) phase: Option<Phase>,
    pub(super) since: Now,
    /// Whether it has left `initialize` in this process, or decided to resume.
    pub(super) begun: bool,
    /// The configuration no longer has it; it goes when it has let go.
    pub(super) removed: bool,
    pub(super) stopping: bool,
    /// What an earlier process left.
    pub(super) legacy: Option<RouterRecord>,
    pub(super) attachment: Option<Attachment>,
    pub(super) socket: Socket,
    pub(super) faults: Vec<Fault>,
    pub(super) priority: u8,
    /// `Active_Adver_Interval`: learnt from the active router (`V3-33`).
    pub(super) active_interval: Duration,
    pub(super) active_router: Option<Ipv4Addr>,
    pub(super) peer: Option<Peer>,
    pub(super) timers: Timers,
    /// Advertisements sent in answer to others since the last one that the timer sent.
    pub(super) answers: u8,
    pub(super) holding: Holding,
    /// What other routers know that this one holds.
    pub(super) held: Vec<(InterfaceIndex, Prefix)>,
    pub(super) announcement: Option<Announcement>,
    /// When the neighbours were last told because another router had claimed the addresses.
    pub(super) announced_again: Option<Time>,
    pub(super) counters: RouterCounters,
    /// When each kind of rejection was last told, so that a flood does not flood the log.
    pub(super) told: Vec<(Reject, Time)>,
    history: VecDeque<Transition>,
    sequence: u64,
}

/// The interface that a router runs on, while it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Attachment {
    pub(crate) index: InterfaceIndex,
    pub(super) mac: Option<MacAddress>,
    pub(super) running: bool,
    /// The address that advertisements come from.
    pub(super) source: Option<Ipv4Addr>,
}

/// The state of the VRRP socket of the router's interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Socket {
    #[default]
    Pending,
    Open,
    Failed(String),
}

/// Another router of the same VRID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) address: Ipv4Addr,
    /// As in the last advertisement.
    pub(super) last_priority: u8,
    /// The last one above 0.
    pub(super) priority: u8,
    pub(super) heard_at: Time,
}

/// Timers are data: armed by assignment, and nothing to cancel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    /// `Adver_Timer`.
    pub(super) advert: Option<Time>,
    /// `Active_Down_Timer`, as what it counts from.
    pub(super) active_down: Option<Countdown>,
    /// When addresses are let go that are still held after a stop.
    pub(super) release: Option<Time>,
    /// When a restarted router speaks, unless it has heard another.
    pub(super) resume: Option<Time>,
    /// When a change of addresses that failed is tried again.
    pub(super) retry: Option<Time>,
    /// When a router that could not add its addresses is a candidate again.
    pub(super) rest: Option<Time>,
    /// When the neighbours are told again of addresses that another router has claimed.
    pub(super) announce_again: Option<Time>,
}

/// The `Active_Down_Timer` in terms of what changes it, so that a new priority moves it in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Countdown {
    pub(super) from: Time,
    /// Priority 0 was heard: only the skew is waited for (`V3-44`).
    pub(super) skew_only: bool,
}

impl Router {
    pub(crate) fn new(settings: RouterSettings, legacy: Option<RouterRecord>, now: Now) -> Self {
        Self {
            key: RouterKey::of(&settings),
            priority: settings.priority.get(),
            active_interval: settings.advert_interval,
            settings,
            state: RouterState::Initialize,
            phase: None,
            since: now,
            begun: false,
            removed: false,
            stopping: false,
            legacy,
            attachment: None,
            socket: Socket::Pending,
            faults: Vec::new(),
            active_router: None,
            peer: None,
            timers: Timers::default(),
            answers: 0,
            holding: Holding::default(),
            held: Vec::new(),
            announcement: None,
            announced_again: None,
            counters: RouterCounters::default(),
            told: Vec::new(),
            history: VecDeque::new(),
            sequence: 0,
        }
    }

    pub(crate) fn key(&self) -> &RouterKey {
        &self.key
    }

    pub(crate) fn settings(&self) -> &RouterSettings {
        &self.settings
    }

    pub(crate) fn index(&self) -> Option<InterfaceIndex> {
        self.attachment.map(|attachment| attachment.index)
    }

    /// Whether the addresses belong on the interface now (architecture rule 6).
    pub(crate) fn holds(&self) -> bool {
        self.state == RouterState::Active || self.phase.is_some()
    }

    /// Whether nothing is left to do for a router that stops or was removed.
    pub(crate) fn let_go(&self) -> bool {
        !self.holds() && self.holding.is_idle() && self.timers.retry.is_none()
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let Timers {
            advert,
            active_down,
            release,
            resume,
            retry,
            rest,
            announce_again,
        } = self.timers;
        let announcement = self.announcement.map(|a| a.deadline());
        let down = active_down.map(|countdown| self.expiry(countdown));
        [
            advert,
            down,
            release,
            resume,
            retry,
            rest,
            announcement,
            announce_again,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn expiry(&self, countdown: Countdown) -> Time {
        let wait = match countdown.skew_only {
            true => self.skew(),
            false => self.down_interval(),
        };
        countdown.from + wait
    }

    pub(super) fn skew(&self) -> Duration {
        intervals::skew(self.settings.version, self.priority, self.active_interval)
    }

    pub(super) fn down_interval(&self) -> Duration {
        let RouterSettings {
            version,
            down_timer_adverts,
            ..
        } = self.settings;
        intervals::down(
            version,
            down_timer_adverts,
            self.priority,
            self.active_interval,
        )
    }

    pub(super) fn resume_bound(&self) -> Duration {
        intervals::unchallenged(
            self.settings.down_timer_adverts,
            self.settings.advert_interval,
        )
    }

    pub(super) fn release_bound(&self) -> Duration {
        let RouterSettings {
            version,
            down_timer_adverts,
            advert_interval,
            ..
        } = self.settings;
        intervals::release(version, down_timer_adverts, advert_interval)
    }

    pub(super) fn subject(&self) -> String {
        format!("router {}", self.settings.name)
    }

    /// Moves to another state and tells everybody why.
    pub(super) fn transition(
        &mut self,
        context: &mut Context<'_>,
        to: RouterState,
        mut causes: Vec<Cause>,
    ) {
        let base = self.settings.priority.get();
        if self.priority != base {
            let (_, reason) = self.tracked_priority(context.checks);
            causes.push(Cause::Priority {
                from: base,
                to: self.priority,
                reason,
            });
        }
        self.sequence += 1;
        let transition = Transition {
            sequence: self.sequence,
            router: self.settings.name.clone(),
            interface: self.settings.interface.clone(),
            family: self.settings.family,
            id: self.settings.id.get(),
            from: self.state,
            to,
            priority: self.priority,
            addresses: self.settings.addresses.clone(),
            causes,
            at: context.now.boottime,
            at_unix_ms: context.now.realtime,
        };
        self.state = to;
        self.since = context.now;
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(transition.clone());
        self.remember(context);
        context
            .outbox
            .push(Effect::Event(Event::Transition(transition)));
    }

    pub(super) fn remember(&self, context: &mut Context<'_>) {
        let record = RouterRecord {
            key: self.key.clone(),
            state: self.state,
            at: context.now.boottime,
        };
        context
            .outbox
            .push(Effect::Remember(Record::Router(record)));
    }

    pub(crate) fn status(&self, interfaces: &Interfaces, checks: &Checks) -> RouterStatus {
        let own_address = self.attachment.and_then(|attachment| attachment.source);
        RouterStatus {
            name: self.settings.name.clone(),
            interface: self.settings.interface.clone(),
            family: self.settings.family,
            id: self.settings.id.get(),
            state: self.state,
            phase: self.phase,
            since_unix_ms: self.since.realtime,
            priority: Priority {
                base: self.settings.priority.get(),
                effective: self.priority,
            },
            active_router: match self.state {
                RouterState::Active => own_address,
                _ => self.active_router,
            },
            addresses: self.settings.addresses.clone(),
            holds_addresses: self.index().is_some_and(|index| {
                self.settings
                    .addresses
                    .iter()
                    .all(|prefix| interfaces.has_address(index, *prefix))
            }),
            faults: match self.state {
                // As they are now: a check may have said more since.
                RouterState::Fault => self.find_faults(checks),
                _ => self.faults.clone(),
            }
            .iter()
            .map(ToString::to_string)
            .collect(),
            warnings: self.warnings(interfaces, checks),
            cause: self.history.back().map(Transition::why).unwrap_or_default(),
            peer: self.peer.map(|peer| PeerStatus {
                address: peer.address,
                priority: peer.priority,
            }),
            counters: self.counters.clone(),
        }
    }

    pub(crate) fn explain(&self) -> Explanation {
        Explanation {
            router: self.settings.name.clone(),
            state: self.state,
            transitions: self.history.iter().cloned().collect(),
        }
    }

    fn warnings(&self, interfaces: &Interfaces, checks: &Checks) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(peer) = self.peer.filter(|peer| peer.priority > 0) {
            warnings = priority::weights_without_effect(
                self.settings.priority.get(),
                &self.settings.track,
                checks,
                (peer.address, peer.priority),
            );
        }
        let foreign = self.index().into_iter().flat_map(|index| {
            self.settings.addresses.iter().filter(move |prefix| {
                interfaces.has_address(index, **prefix) && !interfaces.owns_address(index, **prefix)
            })
        });
        // An owner's addresses are its own by definition.
        if self.settings.priority.get() != u8::MAX {
            warnings.extend(foreign.map(|prefix| {
                format!("{prefix} was put on the interface by somebody else and is never removed")
            }));
        }
        for (reject, _) in &self.told {
            let count = self.counters.rejected.get(reject.as_str()).unwrap_or(&0);
            warnings.push(format!("{count} packets rejected: {reject}"));
        }
        warnings
    }
}
