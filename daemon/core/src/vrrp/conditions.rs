//! What bears on a router from outside: its interface, its socket, the checks that it tracks.

use std::cmp::Ordering;
use std::fmt;

use super::addresses::Holding;
use super::priority;
use super::remarks::listed;
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
        let effective = self.tracked_priority(context.checks).0;
        let before = std::mem::replace(&mut self.priority, effective);
        self.remark_priority(context);
        if effective != before && self.state == RouterState::Active {
            // The backups are to know at once.
            self.timers.advert = Some(context.now.boottime);
        }
    }

    /// Tells people of a priority that they do not know, and why it is that.
    pub(super) fn remark_priority(&mut self, context: &mut Context<'_>) {
        let (before, now) = (self.told_priority, self.priority);
        if now != before && !self.may_remark(context.now.boottime) {
            return;
        }
        let contributions = self.tracked_priority(context.checks).1;
        let contributors: Vec<String> = contributions.iter().map(|c| c.check.to_owned()).collect();
        let gone = self
            .contributors
            .iter()
            .filter(|name| !contributors.contains(name))
            .filter_map(|name| self.returned(context.checks, name));
        let still = contributions.iter().map(ToString::to_string);
        let reasons: Vec<String> = gone.chain(still).collect();
        self.contributors = contributors;
        if now == before {
            return;
        }
        let reasons = match reasons.is_empty() {
            true => "as configured".to_owned(),
            false => listed(&reasons, ", "),
        };
        self.told_priority = now;
        let message = format!("priority {before} became {now}: {reasons}");
        self.remark(context, false, message);
    }

    /// Tells people of faults that have changed, of a router that is in fault.
    pub(super) fn remark_faults(&mut self, context: &mut Context<'_>) {
        if self.state != RouterState::Fault {
            self.faults_untold = false;
        }
        if self.faults_untold && self.may_remark(context.now.boottime) {
            self.faults_untold = false;
            let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
            let message = format!("still in fault: {}", listed(&faults, "; "));
            self.remark(context, true, message);
        }
    }

    /// Why the priority is not the base priority, if it isn't.
    pub(super) fn priority_reason(&self, checks: &Checks) -> Option<String> {
        let differs = self.priority != self.settings.priority.get();
        differs.then(|| self.reason(checks))
    }

    /// The checks as a cause, when they make the priority less, or greater, `than_base`.
    pub(super) fn tracking(&self, checks: &Checks, than_base: Ordering) -> Option<Cause> {
        let base = self.settings.priority.get();
        (self.priority.cmp(&base) == than_base).then(|| Cause::Priority {
            from: base,
            to: self.priority,
            reason: self.reason(checks),
        })
    }

    /// What a check is now that no longer makes the priority another one; nothing when it is no
    /// longer tracked.
    fn returned(&self, checks: &Checks, name: &str) -> Option<String> {
        let mut track = self.settings.track.iter();
        track.find(|track| track.check == name)?;
        let check = checks.find(name)?.assess();
        let word = match check.in_service {
            true => " in service",
            // An active router waits for its first report.
            false if check.on_probation => "",
            false => " out of service",
        };
        Some(format!("check {name}{word}: {}", check.message))
    }

    /// Why the priority is not the base priority.
    fn reason(&self, checks: &Checks) -> String {
        let contributions = self.tracked_priority(checks).1;
        let reasons: Vec<String> = contributions.iter().map(ToString::to_string).collect();
        reasons.join(", ")
    }

    /// The priority that the tracked checks lead to, and those that make it differ from the base
    /// priority.
    fn tracked_priority<'a>(&'a self, checks: &'a Checks) -> (u8, Vec<Contribution<'a>>) {
        let active = self.state == RouterState::Active;
        let tracked = self.settings.track.iter().map(|track| {
            let check = checks.find(&track.check).map(|check| check.assess());
            Contribution {
                check: &track.check,
                points: priority::contribution(track.weight, check, active),
                message: check.map_or("", |check| check.message),
            }
        });
        let contributions: Vec<_> = tracked.filter(|tracked| tracked.points != 0).collect();
        let points = contributions.iter().map(|tracked| tracked.points);
        let effective = priority::effective(self.settings.priority.get(), points);
        (effective, contributions)
    }
}

/// What a check adds to the priority.
struct Contribution<'a> {
    check: &'a str,
    points: i32,
    message: &'a str,
}

impl fmt::Display for Contribution<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "check {} {:+}: {}",
            self.check, self.points, self.message
        )
    }
}
