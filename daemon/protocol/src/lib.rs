//! What the daemon and its plugin worker say to each other.
//!
//! One stream socket, frames in both directions ([`frame`]): a length and a JSON document. Every
//! message is one variant of [`ToWorker`] or [`FromWorker`]; both sides refuse a frame over
//! [`frame::LIMIT`], a field out of its [bounds](Bounded) and a peer of another [`VERSION`].
//!
//! Components and their code go over as sealed descriptors ([`Sealed`]), along with the frame that
//! is about them: a worker opens no plugin's file, and what the daemon has verified cannot change.
//!
//! A worker serves exactly one configuration, or compiles one component. A reload starts a second worker, lets it load
//! everything, and only then ends the first:
//!
//! ```text
//! daemon                              worker
//!   │            Hello                  │   version and build of the worker
//!   │◄──────────────────────────────────│
//!   │            Load                   │   what to load, with grants and limits
//!   │──────────────────────────────────►│
//!   │            Code, …                │   the code of each plugin
//!   │──────────────────────────────────►│
//!   │            Loaded                 │   everything that is wrong, or nothing
//!   │◄──────────────────────────────────│
//!   │            Start                  │   schedules the checks
//!   │──────────────────────────────────►│
//!   │         Verdict, …                │
//!   │◄──────────────────────────────────│
//!   │            Ask                    │   a plugin needs what only the daemon has
//!   │◄──────────────────────────────────│
//!   │            Answer                 │
//!   │──────────────────────────────────►│
//! ```

mod address;
mod bounds;
mod bytes;
pub mod carrier;
mod data;
pub mod frame;
pub mod in_flight;
mod message;
mod plugin;
mod probe_rules;
mod question;
mod rate;
mod sealed;
mod secret;
mod text;
mod unknown_key;
mod url;
mod usage;

pub use address::{canonical, opens, peer_address, special_range};
pub use bounds::{Bounded, OutOfBounds};
pub use bytes::Blob;
pub use data::{PipeAnswer, RouterRecord, STATE_KEYS, StateAnswer, StateCall, is_key};
pub use message::{
    Anatomy, CheckChange, CheckSpec, CompileFault, DaemonPhase, Event, EventPayload, Fault,
    FaultKind, FromWorker, HookSpec, Load, LoadFault, LogLevel, Metric, Outcome, PluginInfo,
    Report, RouterTransition, Run, RunReport, Status, Subject, ToWorker, WeightChange, Wish,
};
pub use plugin::{
    Grants, HttpGrant, Limits, PluginSpec, ProbeGrant, ProcessGrant, SecretGrant, StateGrant,
};
pub use probe_rules::ProbeRules;
pub use question::{
    Answer, EchoRequest, Origin, QUESTIONS_A_SECOND, QUESTIONS_AT_ONCE, Question, Refusal,
    SocketRequest, Transport,
};
pub use rate::Rate;
pub use sealed::{Blank, Sealed, SealedError};
pub use secret::{SECRET_LIMIT, SECRETS_LIMIT, Secret, SecretBytes};
pub use text::steers;
pub use unknown_key::{UNKNOWN_KEY, help_for_unknown_key, nearest};
pub use url::{HttpUrl, LONGEST_URL, UrlError, UrlHost, UrlHosts, UrlPrefix};
pub use usage::{Outcomes, TIME_BOUNDS_US, Times, Usage};

/// Address space of a compilation, in bytes. The largest components of today take 370 MB.
pub const COMPILER_MEMORY: u64 = 1 << 30;

/// The longest code of a component, in bytes. That of the largest components of today takes 43 MB.
pub const CODE_LIMIT: u64 = 256 << 20;

/// Processor time of a compilation, in seconds. The largest components of today take 20 s.
pub const COMPILER_SECONDS: u64 = 120;

/// Version of the frames. Both ends refuse any other.
pub const VERSION: u32 = 10;
