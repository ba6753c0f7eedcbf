//! What the worker says, in the words of the engine and of the log.

use std::time::Duration;

use mainstay_core::input;
use mainstay_protocol as protocol;
use protocol::{FromWorker, LogLevel, Subject};
use tracing::{debug, error, info, trace, warn};

/// Bytes of a plugin's line and of its fields, whatever the worker says.
const LINE_LIMIT: usize = 2048;

/// Bytes of a verdict's message.
const MESSAGE_LIMIT: usize = 512;

/// A verdict for the engine.
pub(super) fn verdict(
    check: String,
    generation: u64,
    outcome: protocol::Outcome,
    took_us: u64,
) -> input::Verdict {
    let outcome = match outcome {
        protocol::Outcome::Report(report) => input::Outcome::Report {
            status: match report.status {
                protocol::Status::Healthy => input::Status::Healthy,
                protocol::Status::Degraded => input::Status::Degraded,
                protocol::Status::Unhealthy => input::Status::Unhealthy,
            },
            weight: match report.weight {
                protocol::WeightChange::Unchanged => input::WeightChange::Unchanged,
                protocol::WeightChange::Set(weight) => input::WeightChange::Set(weight),
                protocol::WeightChange::Offset(offset) => input::WeightChange::Offset(offset),
            },
            message: line(&report.message, MESSAGE_LIMIT),
        },
        protocol::Outcome::Fault(fault) => {
            let message = line(&fault_text(&fault), MESSAGE_LIMIT);
            match fault.kind {
                protocol::FaultKind::Quarantined => input::Outcome::NotRun { message },
                _ => input::Outcome::Fault { message },
            }
        }
    };
    input::Verdict {
        check,
        generation,
        outcome,
        took: Duration::from_micros(took_us),
    }
}

/// A fault in one line.
pub(super) fn fault_text(fault: &protocol::Fault) -> String {
    let kind = match fault.kind {
        protocol::FaultKind::Error => "error",
        protocol::FaultKind::Trap => "trap",
        protocol::FaultKind::Timeout => "timeout",
        protocol::FaultKind::Limit => "limit",
        protocol::FaultKind::Denied => "not permitted",
        protocol::FaultKind::Quarantined => "quarantined",
    };
    format!("{kind}: {}", fault.message)
}

/// Logs what is for the log, and nothing else.
pub(super) fn log(message: &FromWorker) {
    match message {
        FromWorker::Log {
            plugin,
            subject,
            level,
            message,
            fields,
        } => {
            let plugin = line(plugin, LINE_LIMIT);
            let subject = line(&name(subject), LINE_LIMIT);
            let message = line(message, LINE_LIMIT);
            let fields: Vec<String> = fields
                .iter()
                .take(16)
                .map(|(key, value)| format!("{key}={value:?}"))
                .collect();
            let fields = line(&fields.join(" "), LINE_LIMIT);
            // The level of an event is fixed where it is written.
            match level {
                LogLevel::Error => error!(target: "plugin", plugin, subject, fields, "{message}"),
                LogLevel::Warn => warn!(target: "plugin", plugin, subject, fields, "{message}"),
                LogLevel::Info => info!(target: "plugin", plugin, subject, fields, "{message}"),
                LogLevel::Debug => debug!(target: "plugin", plugin, subject, fields, "{message}"),
                LogLevel::Trace => trace!(target: "plugin", plugin, subject, fields, "{message}"),
            }
        }
        FromWorker::LogDropped { plugin, lines } => {
            let plugin = line(plugin, LINE_LIMIT);
            warn!(plugin, lines, "a plugin logs too much: lines were dropped");
        }
        FromWorker::Quarantine { check, for_ms: 0 } => {
            let check = line(check, LINE_LIMIT);
            info!(check, "a check runs again after its rest");
        }
        FromWorker::Quarantine { check, for_ms } => {
            let check = line(check, LINE_LIMIT);
            let seconds = for_ms / 1000;
            warn!(
                check,
                seconds, "a check rests after too many traps in a row"
            );
        }
        _ => {}
    }
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Check(name) => format!("check {name}"),
        Subject::Hook(name) => format!("hook {name}"),
        Subject::Load => "load".to_owned(),
    }
}

/// The text without what steers a terminal, and cut: the worker is not trusted with more.
fn line(text: &str, limit: usize) -> String {
    let text = &text[..text.floor_char_boundary(limit)];
    text.replace(protocol::steers, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_the_engines_and_within_bounds() {
        let report = protocol::Report {
            status: protocol::Status::Degraded,
            weight: protocol::WeightChange::Offset(-5),
            message: "a\nb\u{1b}[2J\u{202e}".repeat(1000),
            metrics: Vec::new(),
        };
        let verdict = verdict("c".to_owned(), 7, protocol::Outcome::Report(report), 1500);
        assert_eq!((verdict.generation, verdict.took.as_micros()), (7, 1500));
        let input::Outcome::Report {
            status,
            weight,
            message,
        } = verdict.outcome
        else {
            panic!("not a report");
        };
        assert_eq!(status, input::Status::Degraded);
        assert_eq!(weight, input::WeightChange::Offset(-5));
        assert!(!message.contains(protocol::steers));
        assert!(message.len() <= 3 * MESSAGE_LIMIT);
    }

    #[test]
    fn a_check_that_rests_has_not_run() {
        let fault = protocol::Fault {
            kind: protocol::FaultKind::Quarantined,
            message: "rests".to_owned(),
        };
        let verdict = verdict("c".to_owned(), 7, protocol::Outcome::Fault(fault), 0);
        let message = "quarantined: rests".to_owned();
        assert_eq!(verdict.outcome, input::Outcome::NotRun { message });
    }

    #[test]
    fn a_fault_says_its_kind() {
        let fault = protocol::Fault {
            kind: protocol::FaultKind::Timeout,
            message: "after 1 s".to_owned(),
        };
        let verdict = verdict("c".to_owned(), 7, protocol::Outcome::Fault(fault), 0);
        let message = "timeout: after 1 s".to_owned();
        assert_eq!(verdict.outcome, input::Outcome::Fault { message });
    }
}
