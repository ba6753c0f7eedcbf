//! Addresses of ours that no router answers for: those of an earlier configuration, or those that a
//! crash has left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Engine;
use crate::action::Effect;
use crate::address::{InterfaceIndex, Prefix};
use crate::deadlines::Holder;
use crate::input::Failure;
use crate::outbox::Waiting;
use crate::time::{Now, Time};

/// From a failure to the next try, doubled with each.
const RETRY: Duration = Duration::from_secs(1);

/// Doublings, at most: a minute and a little more between two tries.
const DOUBLINGS: u32 = 6;

/// Removals that failed.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// Failures in a row.
    failures: u32,
    /// When the next try is due.
    pub(super) retry: Option<Time>,
}

impl Engine {
    /// Removes what is not being removed already.
    pub(super) fn remove_leftovers(&mut self) {
        let wanted: BTreeSet<(InterfaceIndex, Prefix)> = self
            .routers
            .iter()
            .filter_map(|router| Some((router.index()?, router)))
            .flat_map(|(index, router)| {
                let addresses = router.settings().addresses.iter();
                addresses.map(move |prefix| (index, *prefix))
            })
            .collect();
        let mut leftovers: BTreeMap<InterfaceIndex, Vec<Prefix>> = BTreeMap::new();
        for (index, prefix) in self.interfaces.ours() {
            if !wanted.contains(&(index, prefix)) && !self.outbox.removes_leftover(index, prefix) {
                leftovers.entry(index).or_default().push(prefix);
            }
        }
        for (interface, addresses) in leftovers {
            let waiting = Waiting::Leftovers(interface, addresses.clone());
            let effect = Effect::RemoveAddresses {
                interface,
                addresses,
            };
            self.outbox.expect(effect, waiting);
        }
        self.try_leftovers_again_at(None);
    }

    /// A removal has ended; one that failed is tried again.
    pub(super) fn leftovers_answered(
        &mut self,
        now: Now,
        interface: InterfaceIndex,
        result: Result<(), Failure>,
    ) {
        let Err(failure) = result else {
            self.leftovers.failures = 0;
            return;
        };
        let name = self.interfaces.name(interface).unwrap_or("gone");
        let subject = format!("interface {name}");
        self.outbox.notice(subject, true, failure.message);
        let wait = RETRY * 2u32.pow(self.leftovers.failures.min(DOUBLINGS));
        self.leftovers.failures = self.leftovers.failures.saturating_add(1);
        self.try_leftovers_again_at(Some(now.boottime + wait));
    }

    fn try_leftovers_again_at(&mut self, retry: Option<Time>) {
        self.leftovers.retry = retry;
        self.deadlines.set(Holder::Leftovers, retry);
    }
}
