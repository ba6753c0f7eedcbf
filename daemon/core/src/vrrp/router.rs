//! A virtual router: its state.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::addresses::Holding;
use super::history::History;
use super::intervals;
use super::remarks::Pace;
use crate::address::{InterfaceIndex, MacAddress, Prefix};
use crate::announce::Announcement;
use crate::event::{Fault, RouterState};
use crate::health::Checks;
use crate::interfaces::Interfaces;
use crate::outbox::Outbox;
use crate::record::{RouterKey, RouterRecord};
use crate::settings::RouterSettings;
use crate::status::{Phase, RouterCounters};
use crate::time::{Now, Time};
use crate::wire::Reject;

/// What a router may look at and act through while it handles one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) interfaces: &'a mut Interfaces,
    pub(crate) checks: &'a Checks,
    pub(crate) outbox: &'a mut Outbox,
    /// Whether the input is another configuration.
    pub(crate) reloading: bool,
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
    /// They are others since people were last told.
    pub(super) faults_untold: bool,
    pub(super) priority: u8,
    /// The one that people were last told of.
    pub(super) told_priority: u8,
    /// The checks that made that another one than the base priority.
    pub(super) contributors: Vec<String>,
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
    /// Each kind of rejection that there was.
    pub(super) rejections: Vec<Rejection>,
    pub(super) history: History,
    pub(super) pace: Pace,
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
    /// Between its advertisements, as in the last one.
    pub(super) interval: Duration,
    pub(super) heard_at: Time,
    /// The last one did not count, since its priority was lower than the own one (`V3-46`).
    pub(super) declined: bool,
}

/// Packets that were rejected for one reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rejection {
    pub(super) reject: Reject,
    pub(super) last: Time,
    /// Who sent the last one.
    pub(super) source: Ipv4Addr,
    /// When people were last told, so that a flood does not flood the log.
    pub(super) told: Time,
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
    /// When people are told what was not told before, so as not to tell too much.
    pub(super) remark: Option<Time>,
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
            told_priority: settings.priority.get(),
            contributors: Vec::new(),
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
            faults_untold: false,
            active_router: None,
            peer: None,
            timers: Timers::default(),
            answers: 0,
            holding: Holding::default(),
            held: Vec::new(),
            announcement: None,
            announced_again: None,
            counters: RouterCounters::default(),
            rejections: Vec::new(),
            history: History::default(),
            pace: Pace::default(),
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
            remark,
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
            remark,
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
}
