//! What happened, in the words of the contract with plugins.

use mainstay_core::event::{CheckChange, Transition};
use mainstay_core::time::Realtime;
use mainstay_protocol::{self as protocol, DaemonPhase, Event, EventPayload, RouterTransition};

/// Bytes of a cause or a message that a hook is told; the rest is in the log.
const TEXT_LIMIT: usize = 1024;

/// The kinds of events that a hook can ask for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// Transitions of virtual routers.
    Router,
    /// Changes of checks.
    Check,
    /// Start, reload and end of the daemon.
    Daemon,
}

impl Kind {
    /// The kind of an event.
    pub(super) fn of(event: &Event) -> Self {
        match event.payload {
            EventPayload::Router(_) => Self::Router,
            EventPayload::Check(_) => Self::Check,
            EventPayload::Daemon(_) => Self::Daemon,
        }
    }
}

/// Puts a later event of the same source in place of an earlier one: from where that one came.
pub(super) fn merge(earlier: &mut Event, mut later: Event) {
    match (&mut later.payload, &mut earlier.payload) {
        (EventPayload::Router(later), EventPayload::Router(earlier)) => {
            std::mem::swap(&mut later.from, &mut earlier.from);
        }
        (EventPayload::Check(later), EventPayload::Check(earlier)) => {
            std::mem::swap(&mut later.from, &mut earlier.from);
        }
        _ => {}
    }
    *earlier = Event {
        coalesced: true,
        ..later
    };
}

/// A transition of a router. The state `initialize` that a router ends in is `stopped` there.
pub(super) fn of_router(transition: &Transition) -> Event {
    let payload = EventPayload::Router(RouterTransition {
        router: transition.router.clone(),
        family: transition.family.to_string(),
        interface: transition.interface.clone(),
        id: transition.id,
        from: transition.from.to_string(),
        to: after(transition),
        priority: transition.priority,
        addresses: transition
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
        cause: cut(transition.why()),
    });
    let source = format!("router/{}/{}", transition.router, transition.family);
    event(source, transition.sequence, transition.at_unix_ms, payload)
}

/// A change of a check.
pub(super) fn of_check(change: &CheckChange) -> Event {
    let payload = EventPayload::Check(protocol::CheckChange {
        check: change.check.clone(),
        from: change.from.map(|from| from.to_string()),
        to: change.to.to_string(),
        message: cut(change.message.clone()),
    });
    let source = format!("check/{}", change.check);
    event(source, change.sequence, change.at_unix_ms, payload)
}

/// Something of the daemon itself.
pub(super) fn of_daemon(phase: DaemonPhase, sequence: u64, at: Realtime) -> Event {
    event(
        "daemon".to_owned(),
        sequence,
        at,
        EventPayload::Daemon(phase),
    )
}

fn event(source: String, sequence: u64, at: Realtime, payload: EventPayload) -> Event {
    Event {
        sequence,
        source,
        at_unix_ms: at.0,
        queued_ms: 0,
        coalesced: false,
        payload,
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_LIMIT));
    text
}

fn after(transition: &Transition) -> String {
    use mainstay_core::event::{Cause, RouterState};
    let ended = transition
        .causes
        .iter()
        .any(|cause| matches!(cause, Cause::Stop | Cause::Removed));
    match transition.to {
        RouterState::Initialize if ended => "stopped".to_owned(),
        state => state.to_string(),
    }
}
