//! The transitions of a virtual router and what happened in between, each with its causes.

use std::collections::VecDeque;

use super::router::{Context, Router};
use crate::action::Effect;
use crate::event::{Cause, Event, RouterState, Transition};
use crate::record::{Record, RouterRecord};
use crate::status::Remark;

/// Transitions, and remarks, that are kept for `explain`.
const LENGTH: usize = 32;

/// What is kept for `explain`, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) transitions: VecDeque<Transition>,
    pub(super) remarks: VecDeque<Remark>,
    sequence: u64,
}

impl Router {
    /// Moves to another state and tells everybody why.
    pub(super) fn transition(
        &mut self,
        context: &mut Context<'_>,
        to: RouterState,
        mut causes: Vec<Cause>,
    ) {
        if context.reloading && !causes.contains(&Cause::Removed) {
            causes.push(Cause::Reload);
        }
        self.history.sequence += 1;
        let transition = Transition {
            sequence: self.history.sequence,
            router: self.settings.name.clone(),
            interface: self.settings.interface.clone(),
            family: self.settings.family,
            id: self.settings.id.get(),
            from: self.state,
            to,
            priority: self.priority,
            addresses: self.settings.addresses.clone(),
            causes,
            at: context.now.boottime,
            at_unix_ms: context.now.realtime,
        };
        self.state = to;
        self.since = context.now;
        keep(&mut self.history.transitions, transition.clone());
        self.remember(context);
        context
            .outbox
            .push(Effect::Event(Event::Transition(transition)));
    }

    /// Tells people of something that is no transition but belongs to the explanation of the state.
    pub(super) fn remark(&mut self, context: &mut Context<'_>, loud: bool, message: String) {
        let remark = Remark {
            message: message.clone(),
            at: context.now.boottime,
            at_unix_ms: context.now.realtime,
        };
        keep(&mut self.history.remarks, remark);
        context.outbox.notice(self.subject(), loud, message);
    }

    pub(super) fn remember(&self, context: &mut Context<'_>) {
        let record = RouterRecord {
            key: self.key.clone(),
            state: self.state,
            at: context.now.boottime,
        };
        context
            .outbox
            .push(Effect::Remember(Record::Router(record)));
    }
}

fn keep<T>(list: &mut VecDeque<T>, new: T) {
    if list.len() == LENGTH {
        list.pop_front();
    }
    list.push_back(new);
}
