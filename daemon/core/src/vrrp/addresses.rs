//! The virtual addresses on the interface: wanted against there, one batch at a time.

use std::time::Duration;

use super::router::{Context, Router};
use crate::action::{ActionId, Effect};
use crate::address::Prefix;
use crate::announce::Announcement;
use crate::input::Failure;
use crate::outbox::Waiting;
use crate::time::Time;

/// Failures in a row after which an active router resigns.
const FAILURES: u8 = 3;

/// From a failure to the next try, doubled with each.
const RETRY: Duration = Duration::from_millis(100);

/// From the resignation to the next candidacy.
const REST: Duration = Duration::from_secs(10);

/// Addresses that somebody else keeps removing are restored no more often than this.
const RESTORE: Duration = Duration::from_secs(1);

/// A flush is told address by address: what goes within this time is restored in one batch.
const GATHER: Duration = Duration::from_millis(10);

/// What is under way with a router's addresses.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pending: Option<ActionId>,
    /// Whether the last batch added.
    adding: bool,
    failures: u8,
    /// Why the router resigned, until it is a candidate again.
    failed: Option<String>,
    /// All addresses were there while they were wanted: from then on a missing one was taken away.
    complete: bool,
    restored_at: Option<Time>,
    /// Addresses were taken away: when they are to be added, at the earliest.
    restore_at: Option<Time>,
    /// The neighbours are to be told once all addresses are there.
    announce: bool,
}

impl Holding {
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_none()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete && self.restore_at.is_none()
    }

    /// Why the addresses could not be added.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    pub(super) fn forget_failure(&mut self) {
        self.failed = None;
    }

    /// The router became active: the neighbours are to be told.
    pub(super) fn begin(&mut self) {
        self.announce = true;
        self.complete = false;
        self.failures = 0;
        self.restored_at = None;
        self.restore_at = None;
    }

    /// The router goes on with addresses that were there before. The earlier process may have died
    /// before it told the neighbours, so they are told again.
    pub(super) fn adopt(&mut self) {
        self.announce = true;
        self.complete = true;
        self.failures = 0;
    }
}

impl Router {
    /// Brings the interface nearer to what is wanted; waits while a batch is under way.
    pub(super) fn reconcile(&mut self, context: &mut Context<'_>) {
        self.say_what_is_held(context);
        // A router that may resume leaves its addresses as they are; any other lets them go even
        // before its socket is open.
        if (!self.begun && self.holds()) || self.holding.pending.is_some() {
            return;
        }
        if self.timers.retry.is_some() && self.holding.adding == self.holds() {
            return;
        }
        let Some(index) = self.index() else { return };
        if !self.holds() {
            self.announcement = None;
            self.holding.complete = false;
            self.holding.restore_at = None;
            let present = self.select(|prefix| {
                let interfaces = &context.interfaces;
                interfaces.owns_address(index, prefix) && !interfaces.is_held(index, prefix)
            });
            if !present.is_empty() {
                let effect = Effect::RemoveAddresses {
                    interface: index,
                    addresses: present,
                };
                self.change(context, effect);
            }
            return;
        }
        let missing = self.select(|prefix| !context.interfaces.has_address(index, prefix));
        if missing.is_empty() {
            self.holding.complete = true;
            self.holding.restore_at = None;
            if std::mem::take(&mut self.holding.announce) {
                let now = context.now.boottime;
                self.announcement = Some(Announcement::new(self.settings.announce, now));
                self.announce(context);
            }
            return;
        }
        // What is not there is not announced; once all are back, they are announced anew.
        self.announcement = None;
        // Whoever waits to let go, or has not looked into its socket yet, puts nothing back.
        if self.phase.is_some() {
            return;
        }
        if self.holding.complete {
            let now = context.now.boottime;
            let again = self.holding.restored_at.map_or(now, |at| at + RESTORE);
            let gathered = (now + GATHER).max(again);
            self.holding.announce = true;
            let due = *self.holding.restore_at.get_or_insert(gathered);
            if now < due {
                self.timers.retry = Some(due);
                return;
            }
            self.holding.restore_at = Some(now + RESTORE);
            self.holding.restored_at = Some(now);
            let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
            context.outbox.notice(
                self.subject(),
                true,
                format!(
                    "{} was removed by somebody else and is restored",
                    list.join(", ")
                ),
            );
        }
        context.interfaces.expect(index, &missing);
        let effect = Effect::AddAddresses {
            interface: index,
            addresses: missing,
        };
        self.change(context, effect);
    }

    /// A batch of this router has ended.
    pub(crate) fn addresses_changed(
        &mut self,
        context: &mut Context<'_>,
        action: ActionId,
        result: Result<(), Failure>,
    ) {
        if self.holding.pending != Some(action) {
            return;
        }
        self.holding.pending = None;
        let Err(failure) = result else {
            self.holding.failures = 0;
            self.reconcile(context);
            return;
        };
        self.holding.failures = self.holding.failures.saturating_add(1);
        let failures = self.holding.failures;
        context
            .outbox
            .notice(self.subject(), true, failure.message.clone());
        let wait = RETRY * 2u32.pow(u32::from(failures.min(6)));
        self.timers.retry = Some(context.now.boottime + wait);
        if self.holding.adding && self.holds() && failures >= FAILURES {
            self.holding.failed = Some(failure.message);
            self.timers.retry = None;
            self.timers.rest = Some(context.now.boottime + REST);
            // Another router must have a chance: into fault, and nothing is held on to.
            self.review(context);
            self.release(context);
        } else if self.stopping && !self.holds() && failures >= FAILURES {
            // The manifest still lists them, for `mainstay release`.
            self.timers.retry = None;
        } else {
            self.reconcile(context);
        }
    }

    /// Configured addresses have changed: neighbours are told of new ones.
    pub(super) fn addresses_reconfigured(&mut self) {
        if self.holds() {
            self.holding.announce = true;
            self.holding.complete = false;
        }
    }

    /// Keeps the book from which other routers of the interface learn what is not theirs to remove:
    /// two may have the same address, such as the old and the new one when the id has changed.
    fn say_what_is_held(&mut self, context: &mut Context<'_>) {
        let index = self.index().filter(|_| self.holds());
        let now: Vec<_> = index
            .into_iter()
            .flat_map(|index| {
                self.settings
                    .addresses
                    .iter()
                    .map(move |prefix| (index, *prefix))
            })
            .collect();
        if now == self.held {
            return;
        }
        for (index, prefix) in &now {
            context.interfaces.hold(*index, *prefix);
        }
        for (index, prefix) in std::mem::replace(&mut self.held, now) {
            context.interfaces.let_go(index, prefix);
        }
    }

    fn select(&self, wanted: impl Fn(Prefix) -> bool) -> Vec<Prefix> {
        let addresses = self.settings.addresses.iter();
        addresses
            .copied()
            .filter(|prefix| wanted(*prefix))
            .collect()
    }

    fn change(&mut self, context: &mut Context<'_>, effect: Effect) {
        let adding = matches!(effect, Effect::AddAddresses { .. });
        if adding != self.holding.adding {
            self.holding.failures = 0;
        }
        self.holding.adding = adding;
        self.timers.retry = None;
        let waiting = Waiting::Router(self.key.clone());
        self.holding.pending = Some(context.outbox.expect(effect, waiting));
    }
}
