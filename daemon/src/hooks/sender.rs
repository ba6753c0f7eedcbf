//! The way of an event from the engine thread to the queues.

use std::collections::BTreeMap;

use mainstay_core::event::{CheckChange, Transition};
use mainstay_protocol::Event;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel as bounded};

use super::event;

/// Events between the engine and the queues, at most.
const CAPACITY: usize = 1024;

/// A channel for events whose sender neither blocks nor loses the last state of a source.
pub(crate) fn channel() -> (EventSender, Receiver<Event>) {
    let (sender, receiver) = bounded(CAPACITY);
    let sender = EventSender {
        sender,
        overflow: BTreeMap::new(),
    };
    (sender, receiver)
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct EventSender {
    sender: Sender<Event>,
    /// By source: what found no room, merged to the last. Nothing of a source goes past it.
    overflow: BTreeMap<String, Event>,
}

impl EventSender {
    /// Passes a transition on, without waiting. Without room it is kept, and passed on by the next
    /// call or by [`Self::flush`].
    pub(crate) fn transition(&mut self, transition: &Transition) {
        self.send(event::of_router(transition));
    }

    /// Passes the change of a check on, as [`Self::transition`] does.
    pub(crate) fn check(&mut self, change: &CheckChange) {
        self.send(event::of_check(change));
    }

    fn send(&mut self, event: Event) {
        self.flush();
        if let Some(kept) = self.overflow.get_mut(&event.source) {
            event::merge(kept, event);
        } else if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
            self.overflow.insert(event.source.clone(), event);
        }
    }

    /// Passes on what found no room before; for the engine's loop, whenever it has a moment.
    pub(crate) fn flush(&mut self) {
        while let Some((source, event)) = self.overflow.pop_first() {
            if let Err(TrySendError::Full(event)) = self.sender.try_send(event) {
                self.overflow.insert(source, event);
                return;
            }
        }
    }
}
