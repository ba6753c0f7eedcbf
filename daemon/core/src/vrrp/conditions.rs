//! What bears on a router from outside: its interface, its socket, the checks that it tracks.

use std::cmp::Ordering;

use super::addresses::Holding;
use super::priority;
use super::router::{Attachment, Context, Router, Socket};
use crate::event::{Cause, Fault, RouterState};
use crate::health::Checks;

impl Router {
    pub(super) fn attach(&mut self, context: &mut Context<'_>) {
        let link = context.interfaces.link(&self.settings.interface);
        let attachment = link.map(|link| Attachment {
            index: link.index,
            mac: link.mac,
            running: link.running,
            source: context.interfaces.primary(link.index),
        });
        if self.index() != attachment.map(|attachment| attachment.index) {
            // Another interface, or none: what was under way concerns the one that is gone.
            self.holding = Holding::default();
            self.timers.retry = None;
            self.timers.rest = None;
            if self.holds() {
                self.holding.begin();
            }
        }
        self.attachment = attachment;
    }

    pub(crate) fn set_socket(&mut self, socket: Socket) {
        self.socket = socket;
    }

    pub(super) fn find_faults(&self, checks: &Checks) -> Vec<Fault> {
        let mut faults = Vec::new();
        match &self.attachment {
            None => faults.push(Fault::InterfaceMissing),
            Some(attachment) if !attachment.running => faults.push(Fault::LinkDown),
            Some(attachment) if attachment.source.is_none() => faults.push(Fault::NoPrimaryAddress),
            Some(_) => {
                if let Socket::Failed(message) = &self.socket {
                    let message = message.clone();
                    faults.push(Fault::Socket { message });
                }
            }
        }
        if let Some(message) = self.holding.failure() {
            let message = message.to_owned();
            faults.push(Fault::Addresses { message });
        }
        let active = self.state == RouterState::Active;
        for track in self
            .settings
            .track
            .iter()
            .filter(|track| track.weight.is_none())
        {
            let check = checks.find(&track.check).map(|check| check.assess());
            if !check.is_some_and(|c| c.in_service || (active && c.on_probation)) {
                faults.push(Fault::Check {
                    check: track.check.clone(),
                    message: check.map_or_else(String::new, |check| check.message.to_owned()),
                });
            }
        }
        faults
    }

    pub(super) fn review_priority(&mut self, context: &mut Context<'_>) {
        let (effective, reasons) = self.tracked_priority(context.checks);
        if effective == self.priority {
            return;
        }
        let before = std::mem::replace(&mut self.priority, effective);
        let reasons = match reasons.is_empty() {
            true => "as configured".to_owned(),
            false => reasons,
        };
        let message = format!("priority {before} became {effective}: {reasons}");
        self.remark(context, false, message);
        if self.state == RouterState::Active {
            // The backups are to know at once.
            self.timers.advert = Some(context.now.boottime);
        }
    }

    /// Why the priority is not the base priority, if it isn't.
    pub(super) fn priority_reason(&self, checks: &Checks) -> Option<String> {
        let differs = self.priority != self.settings.priority.get();
        differs.then(|| self.tracked_priority(checks).1)
    }

    /// The checks as a cause, when they make the priority less, or greater, `than_base`.
    pub(super) fn tracking(&self, checks: &Checks, than_base: Ordering) -> Option<Cause> {
        let base = self.settings.priority.get();
        (self.priority.cmp(&base) == than_base).then(|| Cause::Priority {
            from: base,
            to: self.priority,
            reason: self.tracked_priority(checks).1,
        })
    }

    /// The priority that the tracked checks lead to, and why it is not the base priority.
    fn tracked_priority(&self, checks: &Checks) -> (u8, String) {
        let active = self.state == RouterState::Active;
        let mut reasons = Vec::new();
        let contributions: Vec<i32> = self
            .settings
            .track
            .iter()
            .map(|track| {
                let check = checks.find(&track.check).map(|check| check.assess());
                let contribution = priority::contribution(track.weight, check, active);
                if contribution != 0 {
                    let message = check.map_or("", |check| check.message);
                    reasons.push(format!("check {} {contribution:+}: {message}", track.check));
                }
                contribution
            })
            .collect();
        let effective = priority::effective(self.settings.priority.get(), contributions);
        (effective, reasons.join(", "))
    }
}
