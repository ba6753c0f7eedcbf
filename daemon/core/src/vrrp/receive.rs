//! The way of an advertisement into a virtual router.

use std::cmp::Ordering;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::router::{Context, Peer, Rejection, Router};
use super::view::RECENT;
use crate::event::{Cause, RejectedPackets, RouterState};
use crate::input::Packet;
use crate::settings::Version;
use crate::status::Phase;
use crate::time::Time;
use crate::wire::Reject;
use crate::wire::vrrp::{Advertisement, Expectation};

/// The same kind of rejection is told no more often than this.
const TELL_AGAIN: Duration = Duration::from_secs(60);

impl Router {
    /// Takes a packet that carries this router's VRID on its interface.
    pub(crate) fn receive(&mut self, context: &mut Context<'_>, packet: &Packet) {
        match self.admit(context, packet) {
            Ok(heard) => self.advertised(context, heard),
            Err(reject) => self.reject(context, packet.source, reject),
        }
    }

    /// Whether what this router accepted last came from this address, less than its down interval
    /// before.
    pub(crate) fn hears(&self, source: Ipv4Addr, at: Time) -> bool {
        self.peer.is_some_and(|peer| {
            peer.address == source && at.since(peer.heard_at) < self.down_interval()
        })
    }

    fn admit(&self, context: &Context<'_>, packet: &Packet) -> Result<Heard, Reject> {
        let Packet {
            source,
            destination,
            hop_limit,
            ..
        } = *packet;
        let advertisement = Advertisement::parse(&packet.bytes, source, destination, hop_limit)?;
        advertisement.admit(&Expectation {
            version: self.settings.version,
            authentication: &self.settings.authentication,
            advert_interval: self.settings.advert_interval,
        })?;
        if self.attachment.and_then(|attachment| attachment.source) == Some(source) {
            return Err(Reject::OwnAddress);
        }
        Ok(Heard {
            source,
            priority: advertisement.priority,
            interval: advertisement.interval,
            // The kernel's stamp, so that a late wake-up does not lengthen the wait; never the
            // future.
            at: packet.received_at.min(context.now.boottime),
        })
    }

    pub(crate) fn reject(&mut self, context: &mut Context<'_>, source: Ipv4Addr, reject: Reject) {
        *self
            .counters
            .rejected
            .entry(reject.as_str().to_owned())
            .or_default() += 1;
        let now = context.now.boottime;
        let mut rejections = self.rejections.iter_mut();
        match rejections.find(|known| known.reject == reject) {
            Some(known) => {
                known.last = now;
                known.source = source;
                if now.since(known.told) < TELL_AGAIN {
                    return;
                }
                known.told = now;
            }
            None => self.rejections.push(Rejection {
                reject,
                last: now,
                source,
                told: now,
            }),
        }
        context.outbox.notice(
            self.subject(),
            true,
            format!("packet from {source} rejected: {reject}"),
        );
    }

    /// Those of the last ten minutes, each kind with how many there were.
    pub(super) fn recent_rejections(&self, now: Time) -> impl Iterator<Item = RejectedPackets> {
        let recent = move |rejection: &&Rejection| now.since(rejection.last) < RECENT;
        self.rejections.iter().filter(recent).map(|rejection| {
            let reason = rejection.reject.as_str();
            RejectedPackets {
                reason: reason.to_owned(),
                count: self.counters.rejected.get(reason).copied().unwrap_or(0),
                source: rejection.source,
            }
        })
    }

    fn advertised(&mut self, context: &mut Context<'_>, heard: Heard) {
        self.counters.received += 1;
        if heard.priority == 0 {
            self.counters.received_priority_zero += 1;
        }
        let declined = self.state == RouterState::Backup && self.declines(heard.priority);
        match self.state {
            RouterState::Initialize => self.heard_in_initialize(context, heard),
            RouterState::Backup => self.heard_in_backup(context, heard),
            RouterState::Active => self.heard_in_active(context, heard),
            RouterState::Fault => self.heard_in_fault(context, heard),
        }
        let known = self.peer.map(|peer| peer.priority);
        self.peer = Some(Peer {
            address: heard.source,
            last_priority: heard.priority,
            priority: match heard.priority {
                0 => known.unwrap_or(0),
                priority => priority,
            },
            interval: heard.interval,
            heard_at: heard.at,
            declined,
        });
        if self.state != RouterState::Active {
            self.active_router = (heard.priority > 0).then_some(heard.source);
        }
    }

    fn heard_in_initialize(&mut self, context: &mut Context<'_>, heard: Heard) {
        match self.phase {
            Some(Phase::Releasing) if heard.priority > 0 => self.release(context),
            // Somebody took over while this node was away (architecture rule 8).
            Some(Phase::Resuming) if heard.priority > 0 => {
                self.yield_to(context, heard);
            }
            _ => {}
        }
    }

    fn heard_in_fault(&mut self, context: &mut Context<'_>, heard: Heard) {
        if heard.priority > 0 {
            self.release(context);
        }
    }

    fn heard_in_backup(&mut self, context: &mut Context<'_>, heard: Heard) {
        if heard.priority > 0 {
            self.release(context);
        }
        if heard.priority == 0 {
            // V3-44: only the skew is waited for.
            self.count_down(heard.at, true);
        } else if !self.declines(heard.priority) {
            self.listen_to(heard.interval, heard.at);
        }
    }

    /// V3-45, V3-33: this is the active router, and its interval is the one that counts.
    fn listen_to(&mut self, interval: Duration, heard_at: Time) {
        self.active_interval = interval;
        self.count_down(heard_at, false);
    }

    /// A priority that has fallen, or preemption that was turned off, may leave nothing to preempt: an
    /// advertisement that was declined then counts as if it had come with these (`V3-45`).
    pub(super) fn reconsider_declined(&mut self) {
        if let Some(peer) = self.declined_peer()
            && !self.declines(peer.last_priority)
        {
            self.listen_to(peer.interval, peer.heard_at);
            self.peer = Some(Peer {
                declined: false,
                ..peer
            });
        }
    }

    /// Whose last advertisement was declined during the present wait.
    pub(super) fn declined_peer(&self) -> Option<Peer> {
        let countdown = self.timers.active_down?;
        self.peer
            .filter(|peer| peer.declined && peer.heard_at >= countdown.from)
    }

    /// V3-46: a backup does not listen to a lower priority, so that its timer runs out.
    fn declines(&self, priority: u8) -> bool {
        self.settings.preempt && (1..self.priority).contains(&priority)
    }

    fn heard_in_active(&mut self, context: &mut Context<'_>, heard: Heard) {
        if heard.priority == 0 {
            // V3-55: whoever heard that one must hear this one.
            self.answer(context);
        } else if self.loses_to(heard) {
            // V3-56. After a partition the winner may never have heard this router, whose address
            // the neighbours have learnt: one advertisement that loses makes the winner tell them
            // again (V3-57, K-04).
            self.advertise(context, self.priority);
            self.yield_to(context, heard);
        } else {
            // V3-57; version 2 stays silent (V2-08). Its neighbours may have learnt the other's
            // address, so they are told again.
            if self.settings.version == Version::V3 {
                self.answer(context);
            }
            self.announce_again(context);
        }
    }

    fn loses_to(&self, heard: Heard) -> bool {
        let own = self.attachment.and_then(|attachment| attachment.source);
        let theirs = (heard.priority, Some(heard.source));
        theirs.cmp(&(self.priority, own)).is_gt()
    }

    /// Another router is active: become its backup and let the addresses go at once.
    fn yield_to(&mut self, context: &mut Context<'_>, heard: Heard) {
        self.phase = None;
        self.timers.advert = None;
        self.timers.announce_again = None;
        self.timers.resume = None;
        self.timers.release = None;
        self.active_interval = heard.interval;
        self.count_down(heard.at, false);
        let mut causes = vec![Cause::BetterAdvertisement {
            source: heard.source,
            priority: heard.priority,
            own: self.priority,
        }];
        causes.extend(self.tracking(context.checks, Ordering::Less));
        self.transition(context, RouterState::Backup, causes);
        self.reconcile(context);
    }
}

/// What counts of a valid advertisement.
#[derive(Clone, Copy)]
struct Heard {
    source: Ipv4Addr,
    priority: u8,
    interval: Duration,
    at: Time,
}
