//! Carries out a request as one pipeline: all messages in one datagram, one acknowledgement at the
//! end. The kernel reports what fails without being asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use mainstay_core::address::{InterfaceIndex, Prefix};
use mainstay_core::input::{Failure, Input};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;

use super::connection::Incoming;
use super::message::{self, Body, Message};
use super::table::network;
use super::{Effect, Route, RouteError};

/// The most messages in a datagram: each has 48 bytes, and a socket's send buffer takes 200 KiB by
/// default.
const LONGEST_BATCH: usize = 1024;
/// What the kernel sets aside in a receive buffer for a request's notification or error: 832 bytes
/// on Linux 6.18, as much again for what others do meanwhile.
const ROOM_PER_REQUEST: usize = 2 * 832;

/// A request in the words of this module.
#[derive(Debug)]
pub(super) struct Change {
    kind: Kind,
    interface: InterfaceIndex,
    addresses: Vec<Prefix>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Add,
    Remove,
}

impl From<Effect> for Change {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::AddAddresses {
                interface,
                addresses,
            } => Self {
                kind: Kind::Add,
                interface,
                addresses,
            },
            Effect::RemoveAddresses {
                interface,
                addresses,
            } => Self {
                kind: Kind::Remove,
                interface,
                addresses,
            },
        }
    }
}

/// What failed, and why. Without an address it is the interface's setting.
pub(super) type Failures = Vec<(Option<Prefix>, io::Error)>;

/// One message of a datagram.
pub(super) struct Step {
    request: RouteNetlinkMessage,
    flags: u16,
    /// The address that it is about; `None` for what only prepares.
    prefix: Option<Prefix>,
}

impl<D: Fn(Input)> Route<D> {
    /// Does what is asked and passes on what comes meanwhile. Tells what failed.
    pub(super) async fn execute(&mut self, change: &Change) -> Result<Failures, RouteError> {
        let longest = self.longest()?;
        let mut failures = Vec::new();
        for steps in self.datagrams(change, longest) {
            self.carry_out(change, steps, &mut failures).await?;
        }
        Ok(failures)
    }

    /// The most messages to send before what they cause is read.
    pub(super) fn longest(&self) -> io::Result<usize> {
        let room = self.connection.receive_buffer()? / ROOM_PER_REQUEST;
        Ok(room.clamp(16, LONGEST_BATCH))
    }

    /// The first failure in one line, with the number of the others.
    pub(super) fn result(&self, change: &Change, failures: Failures) -> Result<(), Failure> {
        let others = failures.len().saturating_sub(1);
        let Some((prefix, error)) = failures.into_iter().next() else {
            return Ok(());
        };
        let index = change.interface;
        let name = self.table.link(index).map(|link| link.name.clone());
        let name = name.unwrap_or_else(|| format!("interface {}", index.0));
        let mut message = match (prefix, change.kind) {
            (Some(prefix), Kind::Add) => format!("cannot add {prefix} to {name}: {error}"),
            (Some(prefix), Kind::Remove) => format!("cannot remove {prefix} from {name}: {error}"),
            (None, _) => format!("cannot switch promote_secondaries of {name}: {error}"),
        };
        if others > 0 {
            message.push_str(&format!(" ({others} more failed)"));
        }
        Err(Failure {
            errno: error.raw_os_error(),
            message,
        })
    }

    /// The messages for a change, in datagrams of at most about `longest` each.
    pub(super) fn datagrams(&self, change: &Change, longest: usize) -> Vec<Vec<Step>> {
        let interface = change.interface;
        if change.kind == Kind::Add {
            return change
                .addresses
                .chunks(longest)
                .map(|some| some.iter().map(|prefix| add(interface, *prefix)).collect())
                .collect();
        }
        let (secondaries, primaries): (Vec<Prefix>, Vec<Prefix>) =
            change.addresses.iter().copied().partition(|prefix| {
                let address = self.table.address(interface, *prefix);
                address.is_some_and(|address| address.secondary)
            });
        let promotion = self.takes_others_along(change, &primaries) && !self.promotes(interface);
        let mut datagrams: Vec<Vec<Step>> = Vec::new();
        for some in secondaries.chunks(longest) {
            datagrams.push(
                some.iter()
                    .map(|prefix| remove(interface, *prefix))
                    .collect(),
            );
        }
        for some in primaries.chunks(longest) {
            let mut steps = Vec::with_capacity(some.len() + 2);
            if promotion {
                steps.push(promote(interface, true));
            }
            steps.extend(some.iter().map(|prefix| remove(interface, *prefix)));
            if promotion {
                steps.push(promote(interface, false));
            }
            datagrams.push(steps);
        }
        datagrams
    }

    /// Whether addresses that are to stay would go along with these primary ones.
    fn takes_others_along(&self, change: &Change, primaries: &[Prefix]) -> bool {
        let removed: BTreeSet<Prefix> = change.addresses.iter().copied().collect();
        let networks: BTreeSet<_> = primaries.iter().map(|prefix| network(*prefix)).collect();
        self.table.addresses().any(|address| {
            address.interface == change.interface
                && address.secondary
                && !removed.contains(&address.prefix)
                && networks.contains(&network(address.prefix))
        })
    }

    /// Whether an interface keeps secondaries when their primary goes. Unknown counts as yes, so
    /// that nothing is changed.
    fn promotes(&self, interface: InterfaceIndex) -> bool {
        let Some(link) = self.table.link(interface) else {
            return true;
        };
        ["all", &link.name].iter().any(|name| {
            let path = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
            fs::read_to_string(path).map_or(true, |value| value.trim_end() != "0")
        })
    }

    /// Sends a datagram and reads until its last message is acknowledged.
    async fn carry_out(
        &mut self,
        change: &Change,
        steps: Vec<Step>,
        failures: &mut Failures,
    ) -> Result<(), RouteError> {
        let mut datagram = Vec::new();
        let mut subjects = BTreeMap::new();
        let mut last = None;
        let mut steps = steps.into_iter().peekable();
        while let Some(step) = steps.next() {
            let acknowledge = if steps.peek().is_none() { NLM_F_ACK } else { 0 };
            let flags = NLM_F_REQUEST | step.flags | acknowledge;
            let sequence = self.connection.next_sequence();
            message::append(&mut datagram, step.request, flags, sequence);
            subjects.insert(sequence, step.prefix);
            last = Some(sequence);
        }
        if last.is_none() {
            return Ok(());
        }
        self.connection.send(&datagram).await?;
        let mut ended = false;
        while !ended {
            match self.connection.receive().await? {
                Incoming::Messages(messages) => {
                    for Message { sequence, body, .. } in messages {
                        let Body::Acknowledged(result) = body else {
                            self.notice(body);
                            continue;
                        };
                        ended |= Some(sequence) == last;
                        let (Some(subject), Err(error)) = (subjects.get(&sequence), result) else {
                            continue;
                        };
                        if !change.kind.is_satisfied_by(&error) {
                            failures.push((*subject, error));
                        }
                    }
                }
                Incoming::Overrun => {
                    // The acknowledgement may be among what was dropped. The kernel has carried out
                    // everything by now, so that the addresses themselves tell.
                    self.refresh().await?;
                    self.judge(change, &subjects, failures);
                    ended = true;
                }
            }
        }
        Ok(())
    }

    /// Finds what was not done by looking at what is there.
    fn judge(
        &self,
        change: &Change,
        subjects: &BTreeMap<u32, Option<Prefix>>,
        failures: &mut Failures,
    ) {
        for prefix in subjects.values().copied().flatten() {
            let there = self.table.address(change.interface, prefix).is_some();
            let reported = failures.iter().any(|(failed, _)| *failed == Some(prefix));
            if there != (change.kind == Kind::Add) && !reported {
                failures.push((
                    Some(prefix),
                    io::Error::other("the kernel's reason was lost"),
                ));
            }
        }
    }
}

impl Kind {
    /// Whether an error means that the desired state was there already.
    fn is_satisfied_by(self, error: &io::Error) -> bool {
        let errno = error.raw_os_error().map(Errno::from_raw);
        match self {
            Self::Add => errno == Some(Errno::EEXIST),
            // Without the interface there is no address either.
            Self::Remove => matches!(errno, Some(Errno::EADDRNOTAVAIL | Errno::ENODEV)),
        }
    }
}

fn add(interface: InterfaceIndex, prefix: Prefix) -> Step {
    Step {
        request: message::add(interface, prefix),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        prefix: Some(prefix),
    }
}

fn remove(interface: InterfaceIndex, prefix: Prefix) -> Step {
    Step {
        request: message::remove(interface, prefix),
        flags: 0,
        prefix: Some(prefix),
    }
}

fn promote(interface: InterfaceIndex, on: bool) -> Step {
    Step {
        request: message::promote_secondaries(interface, on),
        flags: 0,
        prefix: None,
    }
}
