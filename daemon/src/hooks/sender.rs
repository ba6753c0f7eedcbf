//! The way of a transition from the engine thread to the queues.

use std::collections::BTreeMap;

use mainstay_core::event::Transition;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel as bounded};

/// Transitions between the engine and the queues, at most.
const CAPACITY: usize = 1024;

/// A transition, and whether others of its router were merged into it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    /// The last of them.
    pub(crate) transition: Transition,
    /// Whether there were others.
    pub(crate) coalesced: bool,
}

impl Happened {
    /// Puts a later transition of the same router in place of this one: from where this one came.
    pub(super) fn merge(&mut self, later: Transition) {
        let from = self.transition.from;
        self.transition = Transition { from, ..later };
        self.coalesced = true;
    }
}

/// A channel for transitions whose sender neither blocks nor loses the last state of a router.
pub(crate) fn channel() -> (TransitionSender, Receiver<Happened>) {
    let (sender, receiver) = bounded(CAPACITY);
    let sender = TransitionSender {
        sender,
        overflow: BTreeMap::new(),
    };
    (sender, receiver)
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct TransitionSender {
    sender: Sender<Happened>,
    /// By router: what found no room, merged to the last. Nothing of a router goes past it.
    overflow: BTreeMap<String, Happened>,
}

impl TransitionSender {
    /// Passes a transition on, without waiting. Without room it is kept, and passed on by the next
    /// call or by [`Self::flush`].
    pub(crate) fn send(&mut self, transition: Transition) {
        self.flush();
        let key = transition.router.clone();
        if let Some(kept) = self.overflow.get_mut(&key) {
            kept.merge(transition);
            return;
        }
        let happened = Happened {
            transition,
            coalesced: false,
        };
        if let Err(TrySendError::Full(happened)) = self.sender.try_send(happened) {
            self.overflow.insert(key, happened);
        }
    }

    /// Passes on what found no room before; for the engine's loop, whenever it has a moment.
    pub(crate) fn flush(&mut self) {
        while let Some((key, happened)) = self.overflow.pop_first() {
            if let Err(TrySendError::Full(happened)) = self.sender.try_send(happened) {
                self.overflow.insert(key, happened);
                return;
            }
        }
    }
}
