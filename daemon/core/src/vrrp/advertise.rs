//! What a router says: advertisements to other routers, gratuitous ARP to the neighbours.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::router::{Attachment, Context, Router};
use crate::action::Effect;
use crate::announce::Announcement;
use crate::event::RouterState;
use crate::wire::vrrp::{self, GROUP, Outgoing};

/// Advertisements sent in answer to others, at most, per advertisement of the timer: an answer is
/// due at once (`V3-55`, `V3-57`), a storm of them is not.
const ANSWERS: u8 = 3;

/// The neighbours are told no more often than this because of what another router has sent.
const AGAIN: Duration = Duration::from_secs(1);

impl Router {
    /// Advertises at once because of what another router has sent.
    pub(super) fn answer(&mut self, context: &mut Context<'_>) {
        if self.answers >= ANSWERS {
            return;
        }
        self.answers += 1;
        self.advertise(context, self.priority);
        self.timers.advert = Some(context.now.boottime + self.settings.advert_interval);
    }

    /// Another router has claimed the addresses: the neighbours are told again, at once or as soon
    /// as [`AGAIN`] has passed since they were last told so. The last word is this router's.
    pub(super) fn announce_again(&mut self, context: &mut Context<'_>) {
        let now = context.now.boottime;
        let pause = AGAIN.min(self.down_interval());
        let earliest = self.announced_again.map_or(now, |at| at + pause);
        self.timers.announce_again = Some(earliest);
        if earliest <= now {
            self.tell_again(context);
        }
    }

    /// The time has come to tell the neighbours again.
    pub(super) fn tell_again(&mut self, context: &mut Context<'_>) {
        self.timers.announce_again = None;
        // Addresses that are not there yet are announced when they are.
        if self.holding.is_complete() {
            let now = context.now.boottime;
            self.announced_again = Some(now);
            self.announcement = Some(Announcement::new(self.settings.announce, now));
            self.announce(context);
        }
    }

    pub(super) fn announce(&mut self, context: &mut Context<'_>) {
        let Some(announcement) = self.announcement.take() else {
            return;
        };
        let Some(Attachment {
            index,
            mac: Some(mac),
            ..
        }) = self.attachment
        else {
            return;
        };
        let addresses = self.addresses();
        let (frames, rest) = announcement.burst(context.now.boottime, mac, &addresses);
        self.announcement = rest;
        context.outbox.push(Effect::Announce {
            interface: index,
            frames,
        });
    }

    pub(super) fn advertise(&mut self, context: &mut Context<'_>, priority: u8) {
        let Some(Attachment {
            index,
            source: Some(source),
            running: true,
            ..
        }) = self.attachment
        else {
            return;
        };
        let bytes = vrrp::emit(&Outgoing {
            version: self.settings.version,
            id: self.settings.id,
            priority,
            interval: self.settings.advert_interval,
            addresses: &self.addresses(),
            authentication: &self.settings.authentication,
            checksum: self.settings.checksum,
            source,
            destination: GROUP,
        });
        self.counters.sent += 1;
        context.outbox.push(Effect::Send {
            interface: index,
            source,
            destination: GROUP,
            bytes,
        });
        if self.state == RouterState::Active {
            self.remember(context);
        }
    }

    pub(super) fn addresses(&self) -> Vec<Ipv4Addr> {
        let addresses = self.settings.addresses.iter();
        addresses.map(|prefix| prefix.address()).collect()
    }
}
