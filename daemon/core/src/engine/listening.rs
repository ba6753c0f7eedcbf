//! The VRRP sockets: wherever a router has an interface, and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Engine;
use crate::action::{ActionId, Effect};
use crate::address::InterfaceIndex;
use crate::deadlines::Holder;
use crate::input::Failure;
use crate::outbox::Waiting;
use crate::time::{Now, Time};
use crate::vrrp::Socket;

/// The VRRP socket of an interface.
#[derive(Debug)]
pub(super) struct Listening {
    ids: BTreeSet<u8>,
    pub(super) socket: Socket,
    /// The latest request; an answer to an earlier one says nothing.
    request: ActionId,
    /// When a socket that could not be had is asked for again.
    pub(super) retry: Option<Time>,
}

/// From a refusal to the next request.
const RETRY: Duration = Duration::from_secs(1);

impl Engine {
    /// Asks for a socket wherever a router has an interface, and lets go of the others.
    pub(super) fn listen(&mut self) {
        let mut wanted: BTreeMap<InterfaceIndex, BTreeSet<u8>> = BTreeMap::new();
        for router in &self.routers {
            if let Some(link) = self.interfaces.link(&router.key().interface) {
                wanted
                    .entry(link.index)
                    .or_default()
                    .insert(router.key().id);
            }
        }
        let gone: Vec<InterfaceIndex> = self
            .listening
            .keys()
            .filter(|index| !wanted.contains_key(index))
            .copied()
            .collect();
        for interface in gone {
            self.listening.remove(&interface);
            self.deadlines.set(Holder::Socket(interface), None);
            self.outbox.push(Effect::Listen {
                interface,
                name: String::new(),
                ids: Vec::new(),
            });
        }
        for (interface, ids) in wanted {
            let known = self.listening.get(&interface);
            if known.is_some_and(|known| known.ids == ids && known.retry.is_none()) {
                continue;
            }
            // Routers that are served already go on while the filter is widened.
            let socket = known.map_or(Socket::Pending, |known| known.socket.clone());
            let effect = Effect::Listen {
                interface,
                name: self
                    .interfaces
                    .name(interface)
                    .unwrap_or_default()
                    .to_owned(),
                ids: ids.iter().copied().collect(),
            };
            let request = self.outbox.expect(effect, Waiting::Socket(interface));
            let listening = Listening {
                ids,
                socket,
                request,
                retry: None,
            };
            self.listening.insert(interface, listening);
            self.deadlines.set(Holder::Socket(interface), None);
        }
    }

    pub(super) fn socket_answered(
        &mut self,
        now: Now,
        interface: InterfaceIndex,
        action: ActionId,
        result: Result<(), Failure>,
    ) {
        let Some(listening) = self.listening.get_mut(&interface) else {
            return;
        };
        if listening.request != action {
            return;
        }
        listening.socket = match result {
            Ok(()) => Socket::Open,
            Err(failure) => {
                listening.retry = Some(now.boottime + RETRY);
                Socket::Failed(failure.message)
            }
        };
        self.deadlines
            .set(Holder::Socket(interface), listening.retry);
        self.review_on(now, interface);
    }
}
