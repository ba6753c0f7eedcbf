//! The messages. Durations are whole milliseconds or microseconds, as the field's name says.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plugin::PluginSpec;
use crate::question::{Answer, Question, Refusal};
use crate::usage::Usage;

/// What the daemon tells the worker.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToWorker {
    /// Compile the component that this frame carries ([`Sealed`](crate::Sealed)), answer with
    /// [`FromWorker::Compiled`], and end. Sent in place of a load.
    Compile {
        /// Name of the plugin, for messages.
        plugin: String,
    },
    /// Tell what the component that this frame carries is made of, answer with
    /// [`FromWorker::Examined`], and end. Sent in place of a load.
    Examine,
    /// Load all of this, with the code that follows, and answer with [`FromWorker::Loaded`]. Sent
    /// once, first; carries the page for runs [in flight](crate::in_flight).
    Load(Load),
    /// Carries code that plugins of the load run: a [`Sealed`](crate::Sealed) that a worker of the
    /// same [`engine`](FromWorker::Hello::engine) has made. Sent once for each that is needed.
    Code {
        /// As in [`PluginSpec::code`].
        code: String,
    },
    /// Begin to run the checks that were loaded, first runs at once.
    Start,
    /// Run one check once, now, whether or not it is scheduled; answered by [`FromWorker::Ran`].
    Run(Run),
    /// Deliver this to the hook; answered by [`FromWorker::HookDone`].
    Event {
        /// Name of the hook.
        hook: String,
        /// What happened.
        event: Event,
    },
    /// To [`FromWorker::Ask`].
    Answer {
        /// As in the question.
        id: u64,
        /// What was asked for, or why not.
        answer: Result<Answer, Refusal>,
    },
}

/// Everything a worker serves.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// Generation of the configuration; comes back with every verdict.
    pub generation: u64,
    /// Runs at the same time, at most.
    pub max_concurrent_runs: u32,
    /// Features of the contract that plugins may import although they are `@unstable`.
    pub unstable: Vec<String>,
    /// The components.
    pub plugins: Vec<PluginSpec>,
    /// Uses of plugins as checks.
    pub checks: Vec<CheckSpec>,
    /// Uses of plugins as hooks.
    pub hooks: Vec<HookSpec>,
}

/// A check to run at an interval.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckSpec {
    /// Name in the configuration, unique.
    pub name: String,
    /// Name of the plugin.
    pub plugin: String,
    /// The settings table as JSON.
    pub settings: Value,
    /// What it looks at, when that is an endpoint of the configuration: its runs may probe it without
    /// a grant. Canonical: IPv4 is never written as IPv6.
    pub target: Option<SocketAddr>,
    /// From the start of one run to the start of the next.
    pub interval_ms: u64,
    /// Each run begins so much later than its tick, at random, at most; less than the interval.
    pub jitter_ms: u64,
    /// Until a run is ended; at most the interval.
    pub timeout_ms: u64,
    /// Traps in a row after which it rests, at least 1.
    pub quarantine_after: u32,
    /// How long it rests.
    pub quarantine_ms: u64,
}

/// A hook that receives events.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HookSpec {
    /// Name, unique.
    pub name: String,
    /// Name of the plugin.
    pub plugin: String,
    /// The settings table as JSON.
    pub settings: Value,
    /// Until one call is ended.
    pub timeout_ms: u64,
}

/// One run outside the schedule (`mainstay plugin run`).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Run {
    /// Name of a loaded check.
    pub check: String,
}

/// What the worker tells the daemon.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromWorker {
    /// First frame of a worker.
    Hello {
        /// [`VERSION`](crate::VERSION) of the frames it speaks.
        version: u32,
        /// Package version and build of the executable.
        build: String,
        /// What code has to be compiled for, in hexadecimal digits: the compiler, its settings and
        /// the processor.
        engine: String,
        /// Its process id.
        pid: u32,
    },
    /// Answer to [`ToWorker::Compile`]. Without a fault it carries the code.
    Compiled {
        /// How long it took, in microseconds.
        took_us: u64,
        /// Why there is no code.
        fault: Option<CompileFault>,
    },
    /// Answer to [`ToWorker::Examine`].
    Examined(Anatomy),
    /// Answer to [`ToWorker::Load`]. With any fault nothing is served.
    Loaded {
        /// As in the request.
        generation: u64,
        /// The plugins, in the order asked for, as far as they could be read.
        plugins: Vec<PluginInfo>,
        /// Everything that is wrong.
        faults: Vec<LoadFault>,
    },
    /// A run of a check ended.
    Verdict {
        /// Name of the check.
        check: String,
        /// Generation of the configuration it belongs to.
        generation: u64,
        /// What it found.
        outcome: Outcome,
        /// From instantiation to the end.
        took_us: u64,
        /// Ticks that passed while an earlier run was still going, since the last verdict.
        overruns: u32,
    },
    /// Answer to [`ToWorker::Run`].
    Ran(RunReport),
    /// A hook was called, successfully or not.
    HookDone {
        /// Name of the hook.
        hook: String,
        /// Source of the event.
        source: String,
        /// Sequence of the event.
        sequence: u64,
        /// `None` when it was delivered.
        error: Option<Fault>,
    },
    /// A plugin needs what only the daemon has; answered by [`ToWorker::Answer`].
    Ask {
        /// Comes back with the answer; no two questions of a worker have the same.
        id: u64,
        /// The plugin.
        plugin: String,
        /// What it needs.
        question: Question,
    },
    /// A plugin wrote a line.
    Log {
        /// The plugin.
        plugin: String,
        /// The check or hook that ran.
        subject: Subject,
        /// How loud.
        level: LogLevel,
        /// One line, control characters escaped, at most 1 KiB.
        message: String,
        /// Fields, keys as in the contract.
        fields: Vec<(String, String)>,
    },
    /// Lines of a plugin that were over its budget and dropped, once a minute at most.
    LogDropped {
        /// The plugin.
        plugin: String,
        /// How many.
        lines: u64,
    },
    /// What the runs of a check or hook came to.
    Usage(Usage),
    /// A check rests after too many traps in a row, or runs again.
    Quarantine {
        /// Name of the check.
        check: String,
        /// For how long; 0 when it runs again.
        for_ms: u64,
    },
}

/// What a run is for.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A check, by name.
    Check(String),
    /// A hook, by name.
    Hook(String),
    /// Loading: instantiate, describe, validate.
    Load,
}

/// What was found out about a plugin at load.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PluginInfo {
    /// Name in the configuration.
    pub name: String,
    /// Version of `mainstay:plugin` that it was built against, such as `0.1.0`.
    pub api: Option<String>,
    /// `check`, `hook`: what it exports.
    pub roles: Vec<String>,
    /// Interfaces it imports, sorted.
    pub imports: Vec<String>,
    /// Its own name, version and summary, when it has the `lifecycle` export.
    pub described: Option<(String, String, String)>,
    /// JSON Schema of its settings.
    pub settings_schema: Option<Value>,
    /// What it would like to be granted.
    pub wishes: Vec<Wish>,
}

/// Why a component could not be compiled.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CompileFault {
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do, when that is known.
    pub help: Option<String>,
}

/// What a component is made of, and by.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Anatomy {
    /// Core modules in it.
    pub modules: u32,
    /// Linear memories that these define.
    pub memories: u32,
    /// What the memories have at first, in bytes.
    pub memory_bytes: u64,
    /// Tables that the modules define.
    pub tables: u32,
    /// What the tables have at first, in elements.
    pub table_elements: u64,
    /// What the tools that made it say of themselves: field (`language`, `processed-by`, `sdk`), name
    /// and version; at most 64.
    pub producers: Vec<(String, String, String)>,
}

/// Something a plugin would like to be granted. Advisory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wish {
    /// For example `process`.
    pub capability: String,
    /// For example `nginx`.
    pub scope: String,
    /// Whether it works without.
    pub optional: bool,
    /// Whether it is granted, as far as its scope can tell.
    pub granted: bool,
    /// The line of the configuration that would grant it, when it lacks and names something.
    pub line: Option<String>,
}

/// Something that keeps a configuration from being served.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoadFault {
    /// The plugin it concerns.
    pub plugin: String,
    /// The check or hook whose settings are wrong; [`Subject::Load`] when the plugin itself is.
    pub subject: Subject,
    /// JSON Pointer into the settings, when it is about one of them.
    pub pointer: Option<String>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do, when that is known.
    pub help: Option<String>,
}

/// How a run ended: an answer of the plugin, or the lack of one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The plugin decided.
    Report(Report),
    /// It did not. Never read as unhealthy: `on-error` decides.
    Fault(Fault),
}

/// A plugin's answer, cut to the limits.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Report {
    /// In service or not.
    pub status: Status,
    /// What to do to the weight or priority.
    pub weight: WeightChange,
    /// One line for people, at most 512 bytes.
    pub message: String,
    /// At most 32.
    pub metrics: Vec<Metric>,
}

/// `common.metric` of the contract.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Metric {
    /// Its name: `[a-z0-9_.-]{1,64}`.
    pub name: String,
    /// Whether it only ever grows.
    pub counter: bool,
    /// Finite.
    pub value: f64,
    /// Keys as for the name, values of at most 128 bytes; at most 8.
    pub labels: Vec<(String, String)>,
}

/// `check.status` of the contract.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// In service.
    Healthy,
    /// In service; the weight change applies and operators are told.
    Degraded,
    /// Out of service.
    Unhealthy,
}

/// `check.weight-change` of the contract.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightChange {
    /// Use the configured weight.
    Unchanged,
    /// Use this one.
    Set(u32),
    /// Add this to the configured one.
    Offset(i32),
}

/// Why a run gave no answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// The kind, for counters and policies.
    pub kind: FaultKind,
    /// One line for people.
    pub message: String,
}

/// The kinds of [`Fault`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The plugin returned an error.
    Error,
    /// It trapped.
    Trap,
    /// It was ended at its deadline.
    Timeout,
    /// It met a limit.
    Limit,
    /// It gave up because something was not granted.
    Denied,
    /// It was not run: too many traps in a row.
    Quarantined,
}

/// The outcome of one run with all that an author wants to know.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunReport {
    /// The check.
    pub check: String,
    /// What it found.
    pub outcome: Outcome,
    /// From instantiation to the end.
    pub took_us: u64,
    /// Peak of the summed memories and tables.
    pub memory_peak: u64,
    /// Host calls made, by `interface.function`.
    pub host_calls: Vec<(String, u64)>,
    /// Calls that were denied, each with the TOML line that would grant it.
    pub denied: Vec<(String, String)>,
    /// What it logged.
    pub log: Vec<(LogLevel, String)>,
}

/// `log.level` of the contract.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Finest.
    Trace,
    /// For authors.
    Debug,
    /// Worth a line.
    Info,
    /// Worth a look.
    Warn,
    /// Wrong.
    Error,
}

/// An event for hooks. The order is kept per source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Event {
    /// Increases by one per source, from 1 after a start.
    pub sequence: u64,
    /// What it is about, such as `router/VI_1/ipv4`.
    pub source: String,
    /// Milliseconds since the Unix epoch, when the daemon acted.
    pub at_unix_ms: u64,
    /// How long the event waited.
    pub queued_ms: u32,
    /// Whether older events of this source were merged into this one.
    pub coalesced: bool,
    /// What happened.
    pub payload: EventPayload,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventPayload {
    /// A virtual router changed state.
    Router(RouterTransition),
    /// A check stands for something else.
    Check(CheckChange),
    /// The daemon itself.
    Daemon(DaemonPhase),
}

/// `hook.check-change` of the contract.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckChange {
    /// Its name.
    pub check: String,
    /// Before: `healthy`, `degraded`, `unhealthy` or `unknown`; nothing the first time since the
    /// daemon's start.
    pub from: Option<String>,
    /// Now.
    pub to: String,
    /// Its message, one line.
    pub message: String,
}

/// `hook.daemon-phase` of the contract.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DaemonPhase {
    /// Its first configuration is in force.
    Started,
    /// Another configuration is in force.
    Reloaded,
    /// It ends.
    Stopping,
}

/// A transition of a virtual router.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RouterTransition {
    /// Its name.
    pub router: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Its interface.
    pub interface: String,
    /// VRID.
    pub id: u8,
    /// State before: `initialize`, `backup`, `active`, `fault` or `stopped`.
    pub from: String,
    /// State now.
    pub to: String,
    /// Effective priority.
    pub priority: u8,
    /// The virtual addresses.
    pub addresses: Vec<String>,
    /// Why, in one line.
    pub cause: String,
}

impl ToWorker {
    /// Whether the frame of this message carries a descriptor.
    #[must_use]
    pub fn carries(&self) -> bool {
        match self {
            Self::Examine | Self::Compile { .. } | Self::Load(_) | Self::Code { .. } => true,
            Self::Answer { answer, .. } => answer.as_ref().is_ok_and(Answer::carries),
            _ => false,
        }
    }
}

impl FromWorker {
    /// Whether the frame of this message carries a descriptor.
    #[must_use]
    pub fn carries(&self) -> bool {
        matches!(self, Self::Compiled { fault: None, .. })
    }
}
