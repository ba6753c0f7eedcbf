//! What people see of a virtual router.

use std::time::Duration;

use super::priority;
use super::router::{Peer, Router};
use crate::event::{Cause, Fault, RejectedPackets, RouterState};
use crate::health::Checks;
use crate::interfaces::Interfaces;
use crate::status::{Explanation, PeerStatus, Priority, RouterStatus};
use crate::time::{Now, Realtime, Time};

/// Whom nobody has heard for this long, and what has not happened for this long, is no longer shown.
pub(super) const RECENT: Duration = Duration::from_secs(600);

impl Router {
    pub(crate) fn status(
        &self,
        now: Now,
        interfaces: &Interfaces,
        checks: &Checks,
    ) -> RouterStatus {
        let own_address = self.attachment.and_then(|attachment| attachment.source);
        let peer = self.recent_peer(now.boottime);
        let faults = match self.state {
            // As they are now: a check may have said more since.
            RouterState::Fault => self.find_faults(checks),
            _ => self.faults.clone(),
        };
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
                reason: self.priority_reason(checks),
            },
            active_router: match self.state {
                RouterState::Active => own_address,
                _ => self.active_router.filter(|_| peer.is_some()),
            },
            addresses: self.settings.addresses.clone(),
            holds_addresses: self.index().is_some_and(|index| {
                self.settings
                    .addresses
                    .iter()
                    .all(|prefix| interfaces.has_address(index, *prefix))
            }),
            cause: self.why(&faults, checks),
            faults: faults.iter().map(ToString::to_string).collect(),
            warnings: self.warnings(now.boottime, interfaces, checks),
            peer: peer.map(|peer| PeerStatus {
                address: peer.address,
                priority: peer.priority,
                heard_unix_ms: wall(now, peer.heard_at),
            }),
            counters: self.counters.clone(),
        }
    }

    pub(crate) fn explain(&self) -> Explanation {
        Explanation {
            router: self.settings.name.clone(),
            state: self.state,
            transitions: self.history.transitions.iter().cloned().collect(),
            remarks: self.history.remarks.iter().cloned().collect(),
        }
    }

    /// The causes of the last transition in one line, without what no longer holds.
    fn why(&self, faults: &[Fault], checks: &Checks) -> String {
        let Some(last) = self.history.transitions.back() else {
            return String::new();
        };
        let left = |cause: &Cause| match cause {
            Cause::Fault { fault } => !faults.iter().any(|now| now.is_alike(fault)),
            _ => false,
        };
        if !faults.is_empty() && last.causes.iter().any(left) {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return faults.join("; ");
        }
        let priority = self.priority_reason(checks);
        let holds = |cause: &&Cause| match cause {
            Cause::Priority { to, reason, .. } => {
                *to == self.priority && Some(reason) == priority.as_ref()
            }
            _ => true,
        };
        let causes = last.causes.iter().filter(holds);
        causes
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn recent_peer(&self, now: Time) -> Option<Peer> {
        self.peer.filter(|peer| now.since(peer.heard_at) < RECENT)
    }

    fn warnings(&self, now: Time, interfaces: &Interfaces, checks: &Checks) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(peer) = self.recent_peer(now).filter(|peer| peer.priority > 0) {
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
        for RejectedPackets { count, reason, .. } in self.recent_rejections(now) {
            warnings.push(format!("{count} packets rejected: {reason}"));
        }
        warnings
    }
}

/// A moment of the boot-time clock on the wall clock as it goes now.
fn wall(now: Now, at: Time) -> Realtime {
    let before = now.boottime.since(at).as_millis();
    let before = u64::try_from(before).unwrap_or(u64::MAX);
    Realtime(now.realtime.0.saturating_sub(before))
}
