//! The transitions: what begins, what a timer does, what a fault does, what a stop does.

use std::cmp::Ordering;

use super::router::{Context, Countdown, Router, Socket};
use crate::event::{Cause, Fault, RouterState};
use crate::record::RouterRecord;
use crate::settings::RouterSettings;
use crate::status::Phase;
use crate::time::Time;

impl Router {
    /// Looks at everything that bears on the router (interface, socket, checks) and draws the
    /// consequences. Called whenever one of them has changed.
    pub(crate) fn review(&mut self, context: &mut Context<'_>) {
        self.attach(context);
        if self.stopping || self.removed {
            self.drop_unusable(context);
            self.reconcile(context);
            return;
        }
        self.review_priority(context);
        self.reconsider_declined();
        let faults = self.find_faults(context.checks);
        if !self.begun {
            self.begin(context, faults);
        } else if faults.is_empty() && !self.faults.is_empty() && self.socket == Socket::Open {
            self.recover(context);
        } else if !faults.is_empty() && self.state != RouterState::Fault {
            self.fail(context, faults);
        } else if self.state == RouterState::Fault {
            // Whoever waits for its socket keeps the faults that it is about to leave.
            if !faults.is_empty() && faults != self.faults {
                self.faults = faults;
                self.faults_untold = true;
                self.remark_faults(context);
            }
            self.drop_unusable(context);
        }
        self.reconcile(context);
    }

    /// A timer may have come.
    pub(crate) fn tick(&mut self, context: &mut Context<'_>) {
        let now = context.now.boottime;
        let due = |timer: Option<Time>| timer.is_some_and(|at| at <= now);
        if due(self.timers.retry) {
            self.timers.retry = None;
            self.reconcile(context);
        }
        if due(self.timers.rest) {
            self.timers.rest = None;
            self.holding.forget_failure();
            self.review(context);
        }
        if due(self.timers.resume) {
            self.resume(context);
        }
        if due(self.timers.release) {
            self.release(context);
        }
        if due(self.timers.advert) {
            self.answers = 0;
            self.advertise(context, self.priority);
            let interval = self.settings.advert_interval;
            // V3-54. What was overslept is not made up for.
            let next = self.timers.advert.map_or(now, |at| at + interval);
            self.timers.advert = Some(if next > now { next } else { now + interval });
        }
        if due(self
            .timers
            .active_down
            .map(|countdown| self.expiry(countdown)))
        {
            self.take_over(context);
        }
        if due(self.timers.announce_again) {
            self.tell_again(context);
        }
        if due(self.timers.remark) {
            self.timers.remark = None;
            self.remark_priority(context);
            self.remark_faults(context);
        }
        if due(self
            .announcement
            .map(|announcement| announcement.deadline()))
        {
            self.announce(context);
        }
    }

    /// The daemon stops, or the configuration no longer has this router.
    pub(crate) fn stop(&mut self, context: &mut Context<'_>, cause: Cause) {
        self.removed |= cause == Cause::Removed;
        self.stopping = true;
        if !self.begun {
            // Nothing was decided yet, but an earlier process may have left addresses.
            self.begun = true;
            self.phase = None;
            self.reconcile(context);
            return;
        }
        self.timers.active_down = None;
        self.timers.rest = None;
        self.timers.remark = None;
        let was_active = self.state == RouterState::Active || self.phase == Some(Phase::Resuming);
        if was_active {
            self.leave_active(context);
        }
        if self.state != RouterState::Initialize || was_active {
            // V3-42, V3-53.
            self.transition(context, RouterState::Initialize, vec![cause]);
        }
        self.reconcile(context);
    }

    /// Takes other settings of the same identity.
    pub(crate) fn reconfigure(&mut self, context: &mut Context<'_>, settings: RouterSettings) {
        let before = std::mem::replace(&mut self.settings, settings);
        if before == self.settings {
            return;
        }
        if before.advert_interval != self.settings.advert_interval {
            self.active_interval = self.settings.advert_interval;
        }
        if before.addresses != self.settings.addresses {
            self.addresses_reconfigured();
        }
        if self.state == RouterState::Active {
            // The backups are to know at once.
            self.timers.advert = Some(context.now.boottime);
        }
    }

    /// The configuration has this router again before it was gone.
    pub(crate) fn revive(&mut self) {
        self.removed = false;
        self.stopping = false;
        self.begun = false;
        self.legacy = None;
        self.faults.clear();
    }

    /// Leaves `initialize` as soon as it is known how.
    fn begin(&mut self, context: &mut Context<'_>, faults: Vec<Fault>) {
        let legacy = self
            .legacy
            .clone()
            .filter(|legacy| legacy.state == RouterState::Active);
        if !faults.is_empty() {
            self.begun = true;
            self.phase = None;
            self.timers.resume = None;
            self.fail(context, faults);
            return;
        }
        let held = self.index().is_some_and(|index| {
            self.settings
                .addresses
                .iter()
                .any(|prefix| context.interfaces.owns_address(index, *prefix))
        });
        let now = context.now.boottime;
        let mut causes = vec![Cause::Startup];
        if self.phase == Some(Phase::Resuming) {
            self.phase = None;
            self.timers.resume = None;
        }
        if let Some(RouterRecord { at, .. }) = legacy {
            let silent_for = now.since(at);
            let bound = self.resume_bound();
            if silent_for >= bound {
                causes = vec![Cause::ResumeTooLate { silent_for, bound }];
            } else if held {
                self.phase = Some(Phase::Resuming);
                self.timers.resume = Some(at + bound);
            }
        }
        if self.socket == Socket::Pending {
            return;
        }
        self.begun = true;
        if self.phase == Some(Phase::Resuming) {
            // At the next tick, which comes after the sockets have been looked into.
            self.timers.resume = Some(now);
        } else if self.settings.priority.get() == u8::MAX {
            self.become_active(context, vec![Cause::Owner]);
        } else {
            self.become_backup(context, causes);
        }
    }

    fn resume(&mut self, context: &mut Context<'_>) {
        self.timers.resume = None;
        if self.phase != Some(Phase::Resuming) {
            return;
        }
        if self.socket == Socket::Pending {
            self.begun = true;
            let message = "it takes too long to open".to_owned();
            self.fail(context, vec![Fault::Socket { message }]);
            self.reconcile(context);
            return;
        }
        self.phase = None;
        let last = self
            .legacy
            .as_ref()
            .map_or(context.now.boottime, |legacy| legacy.at);
        let silent_for = context.now.boottime.since(last);
        let bound = self.resume_bound();
        if silent_for >= bound {
            self.become_backup(context, vec![Cause::ResumeTooLate { silent_for, bound }]);
            self.reconcile(context);
            return;
        }
        self.holding.adopt();
        self.enter_active(context, vec![Cause::Resumed { silent_for }]);
        self.reconcile(context);
    }

    fn take_over(&mut self, context: &mut Context<'_>) {
        let Some(countdown) = self.timers.active_down else {
            return;
        };
        let interval = self.expiry(countdown).since(countdown.from);
        let mut causes = vec![Cause::ActiveDown { interval }];
        match self.peer {
            None => {
                let rejected: Vec<_> = self.recent_rejections(context.now.boottime).collect();
                causes.push(match rejected.is_empty() {
                    true => Cause::NeverHeard,
                    false => Cause::NoneAccepted { rejected },
                });
            }
            Some(peer) => {
                let source = peer.address;
                let priority = peer.last_priority;
                let before = context.now.boottime.since(peer.heard_at);
                if self.declined_peer().is_some() {
                    causes = vec![Cause::NotAccepted {
                        source,
                        priority,
                        own: self.priority,
                        before,
                    }];
                    causes.extend(self.tracking(context.checks, Ordering::Greater));
                } else {
                    causes.push(Cause::LastHeard {
                        source,
                        priority,
                        before,
                    });
                }
            }
        }
        self.become_active(context, causes);
    }

    /// V3-43, V3-35: the advertisement first, so that an old active router lets go before the
    /// neighbours are told; they are told when the addresses are there.
    fn become_active(&mut self, context: &mut Context<'_>, causes: Vec<Cause>) {
        self.holding.begin();
        self.enter_active(context, causes);
        self.reconcile(context);
    }

    fn enter_active(&mut self, context: &mut Context<'_>, causes: Vec<Cause>) {
        self.phase = None;
        self.timers.release = None;
        self.timers.active_down = None;
        self.answers = 0;
        self.counters.became_active += 1;
        self.active_interval = self.settings.advert_interval;
        self.advertise(context, self.priority);
        self.timers.advert = Some(context.now.boottime + self.settings.advert_interval);
        self.transition(context, RouterState::Active, causes);
    }

    /// V3-36. Addresses that are still held stay in their phase.
    fn become_backup(&mut self, context: &mut Context<'_>, causes: Vec<Cause>) {
        self.active_interval = self.settings.advert_interval;
        self.count_down(context.now.boottime, false);
        self.transition(context, RouterState::Backup, causes);
    }

    fn recover(&mut self, context: &mut Context<'_>) {
        let cleared = std::mem::take(&mut self.faults);
        if self.state != RouterState::Fault {
            return;
        }
        let causes: Vec<Cause> = cleared
            .into_iter()
            .map(|fault| Cause::FaultCleared { fault })
            .collect();
        if self.settings.priority.get() == u8::MAX {
            self.become_active(context, causes);
        } else {
            self.become_backup(context, causes);
        }
    }

    fn fail(&mut self, context: &mut Context<'_>, faults: Vec<Fault>) {
        let causes = faults
            .iter()
            .map(|fault| Cause::Fault {
                fault: fault.clone(),
            })
            .collect();
        self.faults = faults;
        self.faults_untold = false;
        self.timers.active_down = None;
        self.timers.resume = None;
        if self.phase == Some(Phase::Resuming) {
            self.phase = None;
        }
        if self.state == RouterState::Active {
            self.leave_active(context);
        }
        self.transition(context, RouterState::Fault, causes);
        self.drop_unusable(context);
    }

    /// Announces the stop and goes on to serve until the next active router is heard.
    fn leave_active(&mut self, context: &mut Context<'_>) {
        self.timers.advert = None;
        self.timers.resume = None;
        self.timers.announce_again = None;
        self.announcement = None;
        self.advertise(context, 0);
        self.phase = Some(Phase::Releasing);
        self.timers.release = Some(context.now.boottime + self.release_bound());
    }

    /// An interface that cannot carry packets serves nobody: nothing is held on it.
    fn drop_unusable(&mut self, context: &mut Context<'_>) {
        let usable = self
            .attachment
            .is_some_and(|attachment| attachment.running && attachment.source.is_some());
        if self.phase == Some(Phase::Releasing) && !usable {
            self.release(context);
        }
    }

    /// Lets the addresses go that are still held after a stop.
    pub(super) fn release(&mut self, context: &mut Context<'_>) {
        self.timers.release = None;
        if self.phase == Some(Phase::Releasing) {
            self.phase = None;
            self.reconcile(context);
        }
    }

    pub(super) fn count_down(&mut self, from: Time, skew_only: bool) {
        self.timers.active_down = Some(Countdown { from, skew_only });
    }
}
