//! What people see of the engine: the document behind `mainstay status --json`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::address::{Family, Prefix};
use crate::event::{RouterState, Transition};
use crate::time::{Realtime, Time};

/// The engine's part of the status document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The virtual routers, in the order of the configuration.
    pub routers: Vec<RouterStatus>,
    /// The checks, in the order of the configuration.
    pub checks: Vec<CheckStatus>,
    /// The interfaces that routers run on.
    pub interfaces: Vec<InterfaceStatus>,
}

/// A virtual router.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterStatus {
    /// Its name.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Its family.
    pub family: Family,
    /// Its VRID.
    pub id: u8,
    /// Its state.
    pub state: RouterState,
    /// Why it holds addresses outside `active`.
    pub phase: Option<Phase>,
    /// Since when it is in this state, in milliseconds since the Unix epoch.
    pub since_unix_ms: Realtime,
    /// Its priority.
    pub priority: Priority,
    /// Who is active, as far as known: the interface's own address when it is this node.
    pub active_router: Option<Ipv4Addr>,
    /// The virtual addresses.
    pub addresses: Vec<Prefix>,
    /// Whether all of them are on the interface now.
    pub holds_addresses: bool,
    /// What keeps it from taking part, in words.
    pub faults: Vec<String>,
    /// What somebody should look at, in words.
    pub warnings: Vec<String>,
    /// Why it is in this state: the causes of the last transition, as far as they still hold.
    pub cause: String,
    /// The last router heard, other than this one, in the last ten minutes.
    pub peer: Option<PeerStatus>,
    /// What was sent and received.
    pub counters: RouterCounters,
}

/// Why addresses are held outside `active` (architecture rule 6).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Priority 0 was announced; the addresses are kept until the new active router is heard.
    Releasing,
    /// After a restart, until the sockets have been looked into.
    Resuming,
}

/// A priority before and after tracking.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Priority {
    /// As configured.
    pub base: u8,
    /// As advertised.
    pub effective: u8,
    /// Why the two differ, if they do: the checks, each with what it adds.
    pub reason: Option<String>,
}

/// Another router of the same VRID.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PeerStatus {
    /// Its address.
    pub address: Ipv4Addr,
    /// The last priority above 0 that it advertised.
    pub priority: u8,
    /// When it was last heard, in milliseconds since the Unix epoch.
    pub heard_unix_ms: Realtime,
}

/// Counters of a virtual router.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterCounters {
    /// Advertisements sent.
    pub sent: u64,
    /// Valid advertisements received.
    pub received: u64,
    /// Of them, with priority 0.
    pub received_priority_zero: u64,
    /// Transitions to active.
    pub became_active: u64,
    /// Packets rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// An interface that routers run on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Packets rejected before a router was known, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// A check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// The plugin that runs it.
    pub plugin: String,
    /// What it says now.
    pub status: CheckState,
    /// Whether it counts as in service, after rise, fall and `on-error`.
    pub in_service: bool,
    /// The last message.
    pub message: String,
    /// Runs that ended.
    pub runs: u64,
    /// Of them, without an answer.
    pub errors: u64,
    /// How long the last run took, in seconds.
    pub last_run_seconds: f64,
}

/// The last word of a check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// In service.
    Healthy,
    /// In service, with less weight.
    Degraded,
    /// Out of service.
    Unhealthy,
    /// The last run gave no answer.
    Error,
    /// No report yet, or none that is young enough.
    Unknown,
}

impl fmt::Display for CheckState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Error => "error",
            Self::Unknown => "unknown",
        })
    }
}

/// Why a router is in its state: `mainstay explain`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Name of the router.
    pub router: String,
    /// Its state.
    pub state: RouterState,
    /// The last transitions, oldest first.
    pub transitions: Vec<Transition>,
    /// What happened besides, oldest first: another effective priority, another fault.
    pub remarks: Vec<Remark>,
}

/// Something that changed no state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remark {
    /// What, in one line.
    pub message: String,
    /// When, on the boot-time clock. What has the time of a transition came before it.
    pub at: Time,
    /// When, on the wall.
    pub at_unix_ms: Realtime,
}
