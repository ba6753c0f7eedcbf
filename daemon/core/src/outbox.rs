//! Collects the actions of one input and remembers who waits for which completion.

use std::collections::HashMap;

use crate::action::{Action, ActionId, Actions, Effect};
use crate::address::{InterfaceIndex, Prefix};
use crate::event::{Event, Notice};
use crate::record::RouterKey;

/// Who is to be told when an action has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Waiting {
    /// The socket of an interface.
    Socket(InterfaceIndex),
    /// A router that changes its addresses.
    Router(RouterKey),
    /// Addresses that no router wants.
    Leftovers(InterfaceIndex, Vec<Prefix>),
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    actions: Vec<Action>,
    next: u64,
    waiting: HashMap<ActionId, Waiting>,
}

impl Outbox {
    /// Adds an effect whose end nobody waits for.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.number(effect);
    }

    /// Adds an effect whose completion goes to `waiting`.
    pub(crate) fn expect(&mut self, effect: Effect, waiting: Waiting) -> ActionId {
        let id = self.number(effect);
        self.waiting.insert(id, waiting);
        id
    }

    pub(crate) fn notice(&mut self, subject: String, loud: bool, message: String) {
        self.push(Effect::Event(Event::Notice(Notice {
            subject,
            loud,
            message,
        })));
    }

    /// Who waited for this action; each completion counts once.
    pub(crate) fn complete(&mut self, id: ActionId) -> Option<Waiting> {
        self.waiting.remove(&id)
    }

    /// Whether this address, which no router wants, is being removed already.
    pub(crate) fn removes_leftover(&self, index: InterfaceIndex, prefix: Prefix) -> bool {
        self.waiting.values().any(|waiting| match waiting {
            Waiting::Leftovers(interface, addresses) => {
                *interface == index && addresses.contains(&prefix)
            }
            Waiting::Socket(_) | Waiting::Router(_) => false,
        })
    }

    /// Whether a change of addresses is under way.
    pub(crate) fn changes_addresses(&self) -> bool {
        self.waiting
            .values()
            .any(|waiting| !matches!(waiting, Waiting::Socket(_)))
    }

    pub(crate) fn take(&mut self) -> Actions {
        Actions(std::mem::take(&mut self.actions))
    }

    fn number(&mut self, effect: Effect) -> ActionId {
        self.next += 1;
        let id = ActionId(self.next);
        self.actions.push(Action { id, effect });
        id
    }
}
