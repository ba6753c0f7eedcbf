//! The bounds of every field of a message, looked at when its frame is decoded: what neither end
//! would ever send is no message.
//!
//! Nothing of it depends on the configuration; whether a check exists, say, is for whoever hears of
//! it to know.

use serde::Serialize;

use crate::message::{
    Anatomy, CheckChange, CheckSpec, CompileFault, Event, EventPayload, Fault, FromWorker,
    HookSpec, Load, LoadFault, Metric, Outcome, PluginInfo, Report, RouterTransition, Run,
    RunReport, Subject, ToWorker, WeightChange, Wish,
};
use crate::plugin::{Limits, PluginSpec};
use crate::usage::Usage;

/// A name of the configuration, a digest, a version. An entry of a plugin has two names of 64 bytes
/// and a sign between them.
const NAME: usize = 129;
/// A key of the contract.
const KEY: usize = 64;
/// What a plugin says of itself.
const TEXT: usize = 512;
/// A line for people.
const LINE: usize = 2048;
/// Settings, a schema, grants, a line that would grant more, a question and its answer: as JSON or
/// TOML.
const DOCUMENT: usize = 256 << 10;
/// Plugins, checks, hooks, faults: each takes at least some ten bytes of a frame.
const MANY: usize = 1 << 15;
/// Imports, lines and other things of one plugin or one run.
const SOME: usize = 512;
/// Metrics, fields of a line, roles.
const FEW: usize = 32;
/// A year, in milliseconds.
const YEAR_MS: u64 = 366 * 86_400_000;
/// A year, in microseconds.
const YEAR_US: u64 = YEAR_MS * 1000;
/// Memory, in bytes: more than any machine has.
const BYTES: u64 = 1 << 48;

/// A message whose fields have bounds.
pub trait Bounded {
    /// Looks at every field.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    fn check(&self) -> Result<(), OutOfBounds>;
}

/// The field that is out of its bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} is out of its bounds")]
pub struct OutOfBounds(&'static str);

impl Bounded for ToWorker {
    fn check(&self) -> Result<(), OutOfBounds> {
        match self {
            Self::Compile { plugin } => text("plugin", plugin, NAME),
            Self::Load(load) => load.check(),
            Self::Code { code } => text("code", code, NAME),
            Self::Start | Self::Examine => Ok(()),
            Self::Run(Run { check }) => text("check", check, NAME),
            Self::Event { hook, event } => {
                text("hook", hook, NAME)?;
                event.check()
            }
            Self::Answer { id: _, answer } => document("answer", answer),
        }
    }
}

impl Bounded for FromWorker {
    fn check(&self) -> Result<(), OutOfBounds> {
        match self {
            Self::Hello {
                version: _,
                build,
                engine,
                pid,
            } => {
                text("build", build, NAME)?;
                text("engine", engine, NAME)?;
                number("pid", (*pid).into(), 1, i32::MAX.unsigned_abs().into())
            }
            Self::Compiled { took_us, fault } => {
                number("took-us", *took_us, 0, YEAR_US)?;
                fault.as_ref().map_or(Ok(()), Bounded::check)
            }
            Self::Examined(anatomy) => anatomy.check(),
            Self::Loaded {
                generation: _,
                plugins,
                faults,
            } => {
                list("plugins", plugins, MANY)?;
                list("faults", faults, MANY)
            }
            Self::Verdict {
                check,
                generation: _,
                outcome,
                took_us,
                overruns: _,
            } => {
                text("check", check, NAME)?;
                number("took-us", *took_us, 0, YEAR_US)?;
                outcome.check()
            }
            Self::Ran(report) => report.check(),
            Self::HookDone {
                hook,
                source,
                sequence: _,
                error,
            } => {
                text("hook", hook, NAME)?;
                text("source", source, NAME)?;
                error.as_ref().map_or(Ok(()), Bounded::check)
            }
            Self::Ask {
                id: _,
                plugin,
                question,
            } => {
                text("plugin", plugin, NAME)?;
                document("question", question)
            }
            Self::Log {
                plugin,
                subject,
                level: _,
                message,
                fields,
            } => {
                text("plugin", plugin, NAME)?;
                subject.check()?;
                text("message", message, LINE)?;
                pairs("fields", fields, FEW, KEY, LINE)
            }
            Self::LogDropped { plugin, lines: _ } => text("plugin", plugin, NAME),
            Self::Usage(usage) => usage.check(),
            Self::Quarantine { check, for_ms } => {
                text("check", check, NAME)?;
                number("for-ms", *for_ms, 0, YEAR_MS)
            }
        }
    }
}

impl Bounded for Anatomy {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            modules: _,
            memories: _,
            memory_bytes: _,
            tables: _,
            table_elements: _,
            producers,
        } = self;
        if producers.len() > SOME {
            return Err(OutOfBounds("producers"));
        }
        producers.iter().try_for_each(|(field, name, version)| {
            text("field", field, TEXT)?;
            text("name", name, TEXT)?;
            text("version", version, TEXT)
        })
    }
}

impl Bounded for Usage {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            subject,
            outcomes: _,
            run: _,
            instantiate: _,
            memory_peak,
            overruns: _,
            host_calls,
            call_times,
            denied,
        } = self;
        subject.check()?;
        number("memory-peak", *memory_peak, 0, BYTES)?;
        for (what, counts) in [("host-calls", host_calls), ("denied", denied)] {
            if counts.len() > FEW {
                return Err(OutOfBounds(what));
            }
            counts
                .iter()
                .try_for_each(|(name, _)| text(what, name, KEY))?;
        }
        if call_times.len() > FEW {
            return Err(OutOfBounds("call-times"));
        }
        call_times
            .iter()
            .try_for_each(|(name, _)| text("call-times", name, KEY))
    }
}

impl Bounded for Load {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            generation: _,
            max_concurrent_runs,
            unstable,
            plugins,
            checks,
            hooks,
        } = self;
        number(
            "max-concurrent-runs",
            (*max_concurrent_runs).into(),
            0,
            MANY as u64,
        )?;
        texts("unstable", unstable, FEW, NAME)?;
        list("plugins", plugins, MANY)?;
        list("checks", checks, MANY)?;
        list("hooks", hooks, MANY)
    }
}

impl Bounded for PluginSpec {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("plugin", &self.name, NAME)?;
        text("code", &self.code, NAME)?;
        document("grants", &self.grants)?;
        document("secrets", &self.secrets)?;
        let Limits {
            memory,
            log_lines_per_minute: _,
        } = self.limits;
        number("memory", memory, 0, BYTES)
    }
}

impl Bounded for CheckSpec {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("check", &self.name, NAME)?;
        text("plugin", &self.plugin, NAME)?;
        document("settings", &self.settings)?;
        number("interval-ms", self.interval_ms, 1, YEAR_MS)?;
        number("jitter-ms", self.jitter_ms, 0, YEAR_MS)?;
        number("timeout-ms", self.timeout_ms, 1, YEAR_MS)?;
        number("quarantine-ms", self.quarantine_ms, 0, YEAR_MS)
    }
}

impl Bounded for HookSpec {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("hook", &self.name, NAME)?;
        text("plugin", &self.plugin, NAME)?;
        document("settings", &self.settings)?;
        number("timeout-ms", self.timeout_ms, 1, YEAR_MS)
    }
}

impl Bounded for Event {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("source", &self.source, NAME)?;
        match &self.payload {
            EventPayload::Router(transition) => transition.check(),
            EventPayload::Check(change) => change.check(),
            EventPayload::Daemon(_) => Ok(()),
        }
    }
}

impl Bounded for CheckChange {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("check", &self.check, NAME)?;
        optional("from", &self.from, NAME)?;
        text("to", &self.to, NAME)?;
        text("message", &self.message, LINE)
    }
}

impl Bounded for RouterTransition {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            router,
            family,
            interface,
            id: _,
            from,
            to,
            priority: _,
            addresses,
            cause,
        } = self;
        for (what, word) in [
            ("router", router),
            ("family", family),
            ("interface", interface),
            ("from", from),
            ("to", to),
        ] {
            text(what, word, NAME)?;
        }
        texts("addresses", addresses, SOME, NAME)?;
        text("cause", cause, LINE)
    }
}

impl Bounded for Subject {
    fn check(&self) -> Result<(), OutOfBounds> {
        match self {
            Self::Check(name) | Self::Hook(name) => text("subject", name, NAME),
            Self::Load => Ok(()),
        }
    }
}

impl Bounded for PluginInfo {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            name,
            api,
            roles,
            imports,
            described,
            settings_schema,
            wishes,
        } = self;
        text("plugin", name, NAME)?;
        optional("api", api, NAME)?;
        texts("roles", roles, FEW, KEY)?;
        texts("imports", imports, SOME, TEXT)?;
        if let Some((name, version, summary)) = described {
            for said in [name, version, summary] {
                text("described", said, TEXT)?;
            }
        }
        document("settings-schema", settings_schema)?;
        list("wishes", wishes, SOME)
    }
}

impl Bounded for Wish {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("capability", &self.capability, TEXT)?;
        text("scope", &self.scope, TEXT)?;
        optional("line", &self.line, DOCUMENT)
    }
}

impl Bounded for CompileFault {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("message", &self.message, LINE)?;
        optional("help", &self.help, LINE)
    }
}

impl Bounded for LoadFault {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("plugin", &self.plugin, NAME)?;
        self.subject.check()?;
        optional("pointer", &self.pointer, LINE)?;
        text("message", &self.message, LINE)?;
        optional("help", &self.help, LINE)
    }
}

impl Bounded for Outcome {
    fn check(&self) -> Result<(), OutOfBounds> {
        match self {
            Self::Report(report) => report.check(),
            Self::Fault(fault) => fault.check(),
        }
    }
}

impl Bounded for Report {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            status: _,
            weight,
            message,
            metrics,
        } = self;
        let weight = match weight {
            WeightChange::Unchanged => 0,
            WeightChange::Set(weight) => *weight,
            WeightChange::Offset(change) => change.unsigned_abs(),
        };
        number("weight", weight.into(), 0, u16::MAX.into())?;
        text("message", message, LINE)?;
        if metrics.len() > FEW {
            return Err(OutOfBounds("metrics"));
        }
        metrics.iter().try_for_each(|metric| {
            let Metric {
                name,
                counter: _,
                value: _,
                labels,
            } = metric;
            text("metrics", name, KEY)?;
            pairs("labels", labels, FEW, KEY, LINE)
        })
    }
}

impl Bounded for Fault {
    fn check(&self) -> Result<(), OutOfBounds> {
        text("message", &self.message, LINE)
    }
}

impl Bounded for RunReport {
    fn check(&self) -> Result<(), OutOfBounds> {
        let Self {
            check,
            outcome,
            took_us,
            memory_peak,
            host_calls,
            denied,
            log,
        } = self;
        text("check", check, NAME)?;
        outcome.check()?;
        number("took-us", *took_us, 0, YEAR_US)?;
        number("memory-peak", *memory_peak, 0, BYTES)?;
        if host_calls.len().max(log.len()) > SOME {
            return Err(OutOfBounds("run"));
        }
        for (name, _) in host_calls {
            text("host-calls", name, KEY)?;
        }
        pairs("denied", denied, SOME, DOCUMENT, DOCUMENT)?;
        log.iter().try_for_each(|(_, line)| text("log", line, LINE))
    }
}

#[cfg(test)]
impl Bounded for String {
    fn check(&self) -> Result<(), OutOfBounds> {
        Ok(())
    }
}

fn text(what: &'static str, text: &str, most: usize) -> Result<(), OutOfBounds> {
    if text.len() > most {
        return Err(OutOfBounds(what));
    }
    Ok(())
}

fn optional(what: &'static str, value: &Option<String>, most: usize) -> Result<(), OutOfBounds> {
    value
        .as_ref()
        .map_or(Ok(()), |value| text(what, value, most))
}

fn texts(what: &'static str, list: &[String], many: usize, most: usize) -> Result<(), OutOfBounds> {
    if list.len() > many {
        return Err(OutOfBounds(what));
    }
    list.iter().try_for_each(|each| text(what, each, most))
}

fn pairs(
    what: &'static str,
    list: &[(String, String)],
    many: usize,
    key: usize,
    value: usize,
) -> Result<(), OutOfBounds> {
    if list.len() > many {
        return Err(OutOfBounds(what));
    }
    for (name, of) in list {
        text(what, name, key)?;
        text(what, of, value)?;
    }
    Ok(())
}

fn list<T: Bounded>(what: &'static str, list: &[T], most: usize) -> Result<(), OutOfBounds> {
    if list.len() > most {
        return Err(OutOfBounds(what));
    }
    list.iter().try_for_each(Bounded::check)
}

fn number(what: &'static str, number: u64, least: u64, most: u64) -> Result<(), OutOfBounds> {
    if (least..=most).contains(&number) {
        Ok(())
    } else {
        Err(OutOfBounds(what))
    }
}

/// Bounds what has a shape of its own by its length as JSON. How deep it is nested is bounded by who
/// reads JSON, at 128.
fn document(what: &'static str, value: &impl Serialize) -> Result<(), OutOfBounds> {
    struct Room(usize);

    impl std::io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let rest = self.0.checked_sub(bytes.len());
            self.0 = rest.ok_or(std::io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    serde_json::to_writer(Room(DOCUMENT), value).map_err(|_| OutOfBounds(what))
}
