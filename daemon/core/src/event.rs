//! What the engine tells people: transitions with the chain of their causes.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::{Family, Prefix};
use crate::status::CheckState;
use crate::time::{Now, Realtime, Time};

/// Something people and hooks are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A virtual router changed its state.
    Transition(Transition),
    /// A check has another word.
    Check(CheckChange),
    /// Something that deserves a line in the log but changes no state.
    Notice(Notice),
}

/// A change of a virtual router's state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transition {
    /// Increases by one per router, from 1 after a start.
    pub sequence: u64,
    /// Name of the router.
    pub router: String,
    /// Its interface.
    pub interface: String,
    /// Its family.
    pub family: Family,
    /// Its VRID.
    pub id: u8,
    /// State before.
    pub from: RouterState,
    /// State from now on.
    pub to: RouterState,
    /// Effective priority from now on.
    pub priority: u8,
    /// Its virtual addresses.
    pub addresses: Vec<Prefix>,
    /// Why, nearest cause first: what did it, then what led to that.
    pub causes: Vec<Cause>,
    /// When, on the boot-time clock.
    pub at: Time,
    /// When, on the wall.
    pub at_unix_ms: Realtime,
}

/// A change of what a check stands for, after rise, fall and `on-error`.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckChange {
    /// Increases by one per check, from 1 after a start.
    pub sequence: u64,
    /// Name of the check.
    pub check: String,
    /// What it stood for before; nothing the first time since the start.
    pub from: Option<CheckState>,
    /// What it stands for: healthy, degraded, unhealthy, or unknown when no report counts any more.
    pub to: CheckState,
    /// Its message, one line.
    pub message: String,
    /// When, on the wall.
    pub at_unix_ms: Realtime,
}

impl Transition {
    /// Both clocks at the transition.
    pub fn now(&self) -> Now {
        Now {
            boottime: self.at,
            realtime: self.at_unix_ms,
        }
    }

    /// The causes in one line.
    pub fn why(&self) -> String {
        let causes: Vec<String> = self.causes.iter().map(ToString::to_string).collect();
        causes.join("; ")
    }
}

/// The states of RFC 9568 section 6.3, and `fault` for a router that cannot take part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterState {
    /// Before the first decision, and after a stop.
    Initialize,
    /// Listens for the active router.
    Backup,
    /// Holds the addresses and advertises.
    Active,
    /// Something it needs is missing.
    Fault,
}

impl fmt::Display for RouterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
            Self::Fault => "fault",
        })
    }
}

/// A reason for a transition.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Cause {
    /// The router began, with nothing known of an earlier life.
    Startup,
    /// The router went on where an earlier process had left it (architecture rule 8).
    Resumed {
        /// Since the last advertisement of the earlier process.
        silent_for: Duration,
    },
    /// An earlier process had been active, but too long ago.
    ResumeTooLate {
        /// Since its last advertisement.
        silent_for: Duration,
        /// What would have been soon enough: as many advertisement intervals as a backup waits.
        bound: Duration,
    },
    /// It is the owner of the addresses, priority 255 (`V3-35`).
    Owner,
    /// Nothing was heard for the down interval (`V3-43`).
    ActiveDown {
        /// The interval that passed.
        interval: Duration,
    },
    /// Another router is heard, but its priority is lower than the own one (`V3-46`).
    NotAccepted {
        /// Who it is.
        source: Ipv4Addr,
        /// The priority that it advertised last.
        priority: u8,
        /// This router's effective priority.
        own: u8,
        /// How long before the transition.
        before: Duration,
    },
    /// The last advertisement heard before.
    LastHeard {
        /// Who sent it.
        source: Ipv4Addr,
        /// Its priority; 0 when it gave up its role.
        priority: u8,
        /// How long before the transition.
        before: Duration,
    },
    /// Nobody has been heard since the router began.
    NeverHeard,
    /// Nobody could be accepted since the router began, but packets have come.
    NoneAccepted {
        /// Those of the last ten minutes, by reason.
        rejected: Vec<RejectedPackets>,
    },
    /// An advertisement that wins the election (`V3-56`).
    BetterAdvertisement {
        /// Who sent it.
        source: Ipv4Addr,
        /// Its priority.
        priority: u8,
        /// This router's effective priority.
        own: u8,
    },
    /// A condition that keeps the router from taking part.
    Fault {
        /// Which.
        fault: Fault,
    },
    /// A condition that kept the router from taking part is gone.
    FaultCleared {
        /// Which.
        fault: Fault,
    },
    /// Tracked checks made the priority another one, and it decided.
    Priority {
        /// As configured.
        from: u8,
        /// What it is by the checks.
        to: u8,
        /// Why, in one line.
        reason: String,
    },
    /// The configuration was reloaded.
    Reload,
    /// The daemon is stopping.
    Stop,
    /// The configuration no longer has this router, or has it with another identity.
    Removed,
}

/// Packets that were rejected for one reason.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RejectedPackets {
    /// Why: a label of [`Reject`](crate::wire::Reject).
    pub reason: String,
    /// How many, since the daemon began.
    pub count: u64,
    /// Who sent the last one.
    pub source: Ipv4Addr,
}

impl fmt::Display for RejectedPackets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            count,
            source,
        } = self;
        write!(f, "{reason} {count} ({source})")
    }
}

/// A condition that keeps a router in fault.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Fault {
    /// There is no interface of that name.
    InterfaceMissing,
    /// The interface is down or has no carrier.
    LinkDown,
    /// The interface has no IPv4 address to send from (`V3-18`).
    NoPrimaryAddress,
    /// The socket for VRRP could not be made.
    Socket {
        /// Why.
        message: String,
    },
    /// The virtual addresses could not be added.
    Addresses {
        /// Why.
        message: String,
    },
    /// A check without weight is not in service.
    Check {
        /// Its name.
        check: String,
        /// Its last message, or why there is none.
        message: String,
    },
}

impl Fault {
    /// Whether it is the same condition, whatever is said of it.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Check { check, .. }, Self::Check { check: other, .. }) => check == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// A line for the log that no transition carries.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What it is about: `router VI_1`, `check nginx`, `interface eth0`.
    pub subject: String,
    /// Whether somebody should act.
    pub loud: bool,
    /// One line.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str("start"),
            Self::Resumed { silent_for } => {
                write!(
                    f,
                    "resumed {} after the last advertisement",
                    seconds(*silent_for)
                )
            }
            Self::ResumeTooLate { silent_for, bound } => write!(
                f,
                "not resumed: {} since the last advertisement, {} at most",
                seconds(*silent_for),
                seconds(*bound)
            ),
            Self::Owner => f.write_str("owner of the addresses (priority 255)"),
            Self::ActiveDown { interval } => {
                write!(
                    f,
                    "no advertisement for the down interval of {}",
                    seconds(*interval)
                )
            }
            Self::NotAccepted {
                source,
                priority,
                own,
                before,
            } => write!(
                f,
                "preempts {source}, whose priority {priority} (heard {} before) is lower than {own}",
                seconds(*before)
            ),
            Self::LastHeard {
                source,
                priority: 0,
                before,
            } => write!(
                f,
                "{source} gave up its role (priority 0) {} before",
                seconds(*before)
            ),
            Self::LastHeard {
                source,
                priority,
                before,
            } => write!(
                f,
                "last heard {source} with priority {priority} {} before",
                seconds(*before)
            ),
            Self::NeverHeard => f.write_str("no other router has been heard"),
            Self::NoneAccepted { rejected } => {
                let rejected: Vec<String> = rejected.iter().map(ToString::to_string).collect();
                let rejected = rejected.join(", ");
                write!(
                    f,
                    "no other router that could be accepted has been heard; rejected: {rejected}"
                )
            }
            Self::BetterAdvertisement {
                source,
                priority,
                own,
            } => write!(f, "{source} advertised priority {priority}, own was {own}"),
            Self::Fault { fault } => fault.fmt(f),
            Self::FaultCleared { fault } => write!(f, "no longer: {fault}"),
            Self::Priority { from, to, reason } => {
                write!(f, "priority {from} became {to}: {reason}")
            }
            Self::Reload => f.write_str("the configuration was reloaded"),
            Self::Stop => f.write_str("the daemon stops"),
            Self::Removed => f.write_str("no longer configured"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceMissing => f.write_str("the interface is missing"),
            Self::LinkDown => f.write_str("the interface is down or has no carrier"),
            Self::NoPrimaryAddress => f.write_str("the interface has no IPv4 address of its own"),
            Self::Socket { message } => write!(f, "no VRRP socket: {message}"),
            Self::Addresses { message } => write!(f, "addresses not added: {message}"),
            Self::Check { check, message } => write!(f, "check {check}: {message}"),
        }
    }
}

/// Seconds to the millisecond, for people.
fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
