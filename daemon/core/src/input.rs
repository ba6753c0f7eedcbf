//! Everything that can happen to the engine. Inputs are raw: what decodes them is inside, so that
//! one recording or one fuzz target covers it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::ActionId;
use crate::address::{InterfaceIndex, MacAddress, Prefix};
use crate::settings::Settings;
use crate::time::Time;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A packet of IP protocol 112 arrived.
    Packet(Packet),
    /// An interface appeared or changed.
    Link(Link),
    /// An interface went away.
    LinkGone(InterfaceIndex),
    /// An address appeared on an interface or changed.
    Address(Address),
    /// An address went away from an interface.
    AddressGone {
        /// Where it was.
        interface: InterfaceIndex,
        /// What it was.
        prefix: Prefix,
    },
    /// The complete state of interfaces and addresses: whatever is not in it is not there.
    Snapshot(Snapshot),
    /// A run of a check ended.
    Verdict(Verdict),
    /// An operator's or the service manager's wish.
    Command(Command),
    /// A new configuration, already found valid, with the manifest written.
    Reconfigure(Arc<Settings>),
    /// An action ended, well or not. Every notification from the kernel up to that moment has been
    /// passed in before.
    Completed {
        /// Which one.
        action: ActionId,
        /// How it ended.
        result: Result<(), Failure>,
    },
    /// Nothing but the time. Sent when [`Engine::next_deadline`](crate::Engine::next_deadline) has
    /// come, after everything that already waits in the sockets has been passed in.
    Tick,
}

/// An IP packet as it came from a raw socket, without its IP header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Where it arrived.
    pub interface: InterfaceIndex,
    /// Its source address.
    pub source: Ipv4Addr,
    /// Its destination address.
    pub destination: Ipv4Addr,
    /// Its time to live.
    pub hop_limit: u8,
    /// When the kernel received it; may lie before the input's `now`.
    pub received_at: Time,
    /// What follows the IP header, at most the interface's MTU.
    pub bytes: Vec<u8>,
}

/// A network interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: InterfaceIndex,
    /// Its name, which can change.
    pub name: String,
    /// Its Ethernet address, when it has one.
    pub mac: Option<MacAddress>,
    /// Whether it can carry packets now: administratively up and with a carrier (`IFF_RUNNING`).
    pub running: bool,
}

/// An address on an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Address {
    /// Where it is.
    pub interface: InterfaceIndex,
    /// What it is.
    pub prefix: Prefix,
    /// Whose mark it carries.
    pub mark: Mark,
    /// `IFA_F_SECONDARY`: another address of the same network was there before.
    pub secondary: bool,
}

/// Who put an address where it is, as far as the kernel can tell (`IFA_PROTO`, Linux 5.18).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// It carries Mainstay's mark.
    Ours,
    /// The kernel keeps marks, and this address does not carry ours.
    Other,
    /// The kernel keeps no marks: only the manifest can tell.
    Unknown,
}

/// All interfaces with all their IPv4 addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// The interfaces.
    pub links: Vec<Link>,
    /// The addresses.
    pub addresses: Vec<Address>,
}

/// What a run of a check came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Name of the check.
    pub check: String,
    /// Generation of the configuration that started the run; a verdict of another one is dropped.
    pub generation: u64,
    /// What it found.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// An answer of a plugin, or the lack of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The plugin decided.
    Report {
        /// In service or not.
        status: Status,
        /// What it does to the priority of a router that tracks the check.
        weight: WeightChange,
        /// One line for people.
        message: String,
    },
    /// It did not (a trap, a timeout, an error of its own): `on-error` decides.
    Fault {
        /// One line for people.
        message: String,
    },
    /// It was not asked, since it rests or there is no worker: `on-error` decides.
    NotRun {
        /// One line for people.
        message: String,
    },
}

/// What a check says of its target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// In service.
    Healthy,
    /// In service, with less weight.
    Degraded,
    /// Out of service.
    Unhealthy,
}

/// What a verdict does to the priority of the routers that track its check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightChange {
    /// Nothing beyond the configured weight.
    Unchanged,
    /// Contributes this instead of the configured weight.
    Set(u32),
    /// Contributes this in addition to the configured weight; clamped to ±253.
    Offset(i32),
}

/// What an operator or the service manager asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// End without losing a packet: announce priority 0, hold the addresses until the new active
    /// router is heard (bounded), then let go. [`Engine::stopped`](crate::Engine::stopped) tells
    /// when that has been done.
    Stop,
}

/// Why an action failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kernel's error number, when it gave one.
    pub errno: Option<i32>,
    /// One line for people: what was tried, and the reason.
    pub message: String,
}
