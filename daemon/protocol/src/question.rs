//! What the worker asks the daemon while a plugin runs: what a process without privileges cannot do or know.
//!
//! The daemon answers each question once, whatever becomes of the run, and within its own bounds: it gives a plugin
//! nothing that the plugin's grants in the [`Load`](crate::Load) in force do not give, whoever asks.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::data::{PipeAnswer, RouterRecord, StateAnswer, StateCall};

/// Questions that wait for their answers at the same time, at most; the daemon answers more with [`Refusal::Busy`].
pub const QUESTIONS_AT_ONCE: usize = 64;

/// Questions in a second of its clock that a worker asks, at most. The daemon answers more than twice as many with
/// [`Refusal::Busy`], and cuts off a worker that asks more than four times as many.
pub const QUESTIONS_A_SECOND: u32 = 4_000;

/// What a plugin wants.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A socket that a probe or a request needs a source address or a mark for. Needs `probe` or `http`.
    Socket(SocketRequest),
    /// How names of hosts are looked up on this machine. Needs `http` or `wasi-http` with a name.
    Names,
    /// Which of these addresses are this machine's own, virtual ones included, as of now. Needs what
    /// [`Self::Names`] needs.
    Own {
        /// Addresses that a name came out as.
        addresses: Vec<IpAddr>,
    },
    /// One ICMP echo. Needs `probe`.
    Echo(EchoRequest),
    /// What is kept for the plugin. Needs `state`.
    State(StateCall),
    /// The virtual routers, all or those of one name. Needs `routers`.
    Routers(Option<String>),
    /// A line for a named pipe. Needs `fifo`.
    Pipe {
        /// The pipe, as the grant names it.
        path: String,
        /// Without its line break.
        line: String,
    },
    /// The state of a systemd unit. Needs `units`.
    Unit(String),
}

/// A socket that is connected, or on its way to be: an end in time is for the worker to see to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SocketRequest {
    /// TCP or UDP.
    pub transport: Transport,
    /// The peer.
    pub to: SocketAddr,
    /// Where it comes from and how it is marked.
    pub origin: Origin,
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What a plugin may choose of the packets that it has sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Origin {
    /// Source address; one of this machine's.
    pub source: Option<IpAddr>,
    /// Mark for policy routing.
    pub fwmark: Option<u32>,
}

impl Origin {
    /// Whether source and mark, as far as they are chosen, are among these.
    #[must_use]
    pub fn is_among(&self, sources: &[IpAddr], fwmarks: &[u32]) -> bool {
        let granted = |source: &IpAddr| {
            let mut sources = sources.iter();
            sources.any(|granted| granted.to_canonical() == source.to_canonical())
        };
        self.source.as_ref().is_none_or(granted)
            && self.fwmark.is_none_or(|mark| fwmarks.contains(&mark))
    }
}

/// One echo request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EchoRequest {
    /// The peer.
    pub to: IpAddr,
    /// Where it comes from and how it is marked.
    pub origin: Origin,
    /// How long to wait for the reply.
    pub timeout_ms: u32,
}

/// What the daemon gives.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Question::Socket`]; carried by the frame.
    Socket,
    /// To [`Question::Names`].
    Names {
        /// The text of `/etc/resolv.conf`; empty when there is none.
        resolv_conf: String,
        /// The text of `/etc/hosts`; empty when there is none.
        hosts: String,
    },
    /// To [`Question::Own`].
    Own {
        /// Those that are.
        addresses: Vec<IpAddr>,
    },
    /// To [`Question::Echo`]: the time until the reply.
    Echo {
        /// In microseconds.
        round_trip_us: u64,
    },
    /// To [`Question::State`].
    State(StateAnswer),
    /// To [`Question::Routers`].
    Routers(Vec<RouterRecord>),
    /// To [`Question::Pipe`].
    Pipe(PipeAnswer),
    /// To [`Question::Unit`]: its `ActiveState`; nothing when there is no such unit.
    Unit(Option<String>),
}

/// Why the daemon gives nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The plugin is not granted it.
    NotPermitted,
    /// Too many questions, at once or a second.
    Busy,
    /// It took longer than it may.
    TimedOut,
    /// What was asked makes no sense, in one line for people.
    Invalid(String),
    /// The daemon has no answer to this at present, in one line for people.
    Unavailable(String),
    /// The system said no: its error number.
    System(i32),
}

impl Answer {
    /// Whether the frame of this answer carries a descriptor.
    #[must_use]
    pub fn carries(&self) -> bool {
        matches!(self, Self::Socket)
    }
}
