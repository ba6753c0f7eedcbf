//! Carries out a request as one pipeline: all messages in one datagram, one acknowledgement at the
//! end. The kernel reports what fails without being asked.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use mainstay_core::address::{InterfaceIndex, Prefix};
use mainstay_core::input::{Failure, Input};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;

use super::connection::Incoming;
use super::message::{self, Body, Message};
use super::{Effect, Route, RouteError};

/// The most messages in a datagram: each has 44 bytes at most, and a socket's send buffer takes
/// 200 KiB by default.
const LONGEST_BATCH: usize = 2048;
/// What the kernel accounts for one message in a receive buffer, at most. A request can cause two: the
/// notification, and an error.
const ROOM_PER_REQUEST: usize = 2 * 1280;

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
struct Step {
    request: RouteNetlinkMessage,
    flags: u16,
    /// The address that it is about; `None` for what only prepares.
    prefix: Option<Prefix>,
}

impl Change {
    /// The first failure in one line, with the number of the others.
    pub(super) fn result(&self, failures: Failures) -> Result<(), Failure> {
        let others = failures.len().saturating_sub(1);
        let Some((prefix, error)) = failures.into_iter().next() else {
            return Ok(());
        };
        let mut message = match (prefix, self.kind) {
            (Some(prefix), Kind::Add) => format!("cannot add {prefix}: {error}"),
            (Some(prefix), Kind::Remove) => format!("cannot remove {prefix}: {error}"),
            (None, _) => format!("cannot switch promote_secondaries: {error}"),
        };
        if others > 0 {
            message.push_str(&format!(" ({others} more failed)"));
        }
        Err(Failure {
            errno: error.raw_os_error(),
            message,
        })
    }
}

impl<D: Fn(Input)> Route<D> {
    /// Does what is asked and passes on what comes meanwhile. Tells what failed.
    pub(super) async fn execute(&mut self, change: &Change) -> Result<Failures, RouteError> {
        let room = self.connection.receive_buffer()? / ROOM_PER_REQUEST;
        let longest = room.clamp(16, LONGEST_BATCH);
        let mut failures = Vec::new();
        for steps in self.datagrams(change, longest) {
            self.carry_out(change, steps, &mut failures).await?;
        }
        Ok(failures)
    }

    /// The messages for a change, in datagrams of at most about `longest` each.
    fn datagrams(&self, change: &Change, longest: usize) -> Vec<Vec<Step>> {
        let interface = change.interface;
        if change.kind == Kind::Add {
            return change
                .addresses
                .chunks(longest)
                .map(|some| some.iter().map(|prefix| add(interface, *prefix)).collect())
                .collect();
        }
        let (secondaries, primaries): (Vec<_>, Vec<_>) =
            change.addresses.iter().partition(|prefix| {
                let address = self.table.address(interface, **prefix);
                address.is_some_and(|address| address.secondary)
            });
        let removed: BTreeSet<Prefix> = change.addresses.iter().copied().collect();
        let bystanders = primaries.iter().any(|prefix| {
            let address = self.table.address(interface, *prefix);
            address.is_some_and(|address| {
                let mut secondaries = self.table.secondaries_of(address);
                secondaries.any(|secondary| !removed.contains(&secondary.prefix))
            })
        });
        let promotion = bystanders && !self.promotes(interface);
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

    /// Whether an interface keeps secondaries when their primary goes. Unknown counts as yes, so
    /// that nothing is changed.
    fn promotes(&self, interface: InterfaceIndex) -> bool {
        let Some(link) = self.table.link(interface) else {
            return true;
        };
        ["all", &link.name].iter().any(|name| {
            let path = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
            fs::read_to_string(path).is_ok_and(|value| value.trim_end() != "0")
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
        let mut subjects = Vec::with_capacity(steps.len());
        let last = steps.len().saturating_sub(1);
        for (position, step) in steps.into_iter().enumerate() {
            let acknowledge = if position == last { NLM_F_ACK } else { 0 };
            let flags = NLM_F_REQUEST | step.flags | acknowledge;
            let sequence = self.connection.next_sequence();
            message::append(&mut datagram, step.request, flags, sequence);
            subjects.push((sequence, step.prefix));
        }
        let Some((last, _)) = subjects.last().copied() else {
            return Ok(());
        };
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
                        ended |= sequence == last;
                        let subject = subjects.iter().find(|(of, _)| *of == sequence);
                        let (Some((_, prefix)), Err(error)) = (subject, result) else {
                            continue;
                        };
                        if !change.kind.is_satisfied_by(&error) {
                            failures.push((*prefix, error));
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
    fn judge(&self, change: &Change, subjects: &[(u32, Option<Prefix>)], failures: &mut Failures) {
        for prefix in subjects.iter().filter_map(|(_, prefix)| *prefix) {
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
