//! `mainstay plugin run`: one run of a check in the production sandbox, with the real limits.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use mainstay_protocol::{
    CheckSpec, Grants, Outcome, RunReport, Secret, SecretBytes, SecretGrant, Status, WeightChange,
};
use serde_json::Value;

use super::grant::{self, Grant};
use super::settings;
use super::text::columns;
use super::{Failure, plan_of, print, print_json, refused};
use crate::config::{duration, endpoint, secrets};
use crate::exit;
use crate::worker::{Source, run_once};

/// What to run, and how.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: mainstay plugin run process --settings '{\"name\":\"nginx\"}' --grant process=nginx"
)]
pub(crate) struct RunArguments {
    /// The component: its path, or its name in a plugin directory
    pub(crate) component: PathBuf,
    /// The settings
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    settings: Value,
    /// What it looks at, which it may probe without a grant
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = target)]
    target: Option<SocketAddr>,
    /// What the run may do, such as process=nginx or probe=10.0.0.5:80
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Grant>,
    /// When the run is ended
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = timeout)]
    timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a check once. The exit code tells the verdict.
pub(crate) fn run(
    worker: &Source,
    file: &Path,
    arguments: &RunArguments,
) -> Result<ExitCode, Failure> {
    let mut plan = plan_of(file)?;
    let load = Arc::make_mut(&mut plan.load);
    for plugin in &mut load.plugins {
        for grant in &arguments.grants {
            grant.add_to(&mut plugin.grants);
        }
        plugin.secrets = secrets_of(&plugin.grants)?;
        let milliseconds = u64::try_from(arguments.timeout.as_millis()).unwrap_or(u64::MAX);
        load.checks.push(CheckSpec {
            name: plugin.name.clone(),
            plugin: plugin.name.clone(),
            settings: arguments.settings.clone(),
            target: arguments.target,
            interval_ms: milliseconds,
            jitter_ms: 0,
            timeout_ms: milliseconds,
            quarantine_after: 1,
            quarantine_ms: 0,
        });
    }
    let check = load
        .checks
        .first()
        .map_or("", |check| &check.name)
        .to_owned();
    let report = run_once(worker, &plan, &check).map_err(|error| {
        let advice = settings::advice(worker, &plan, &error);
        let mut failure = refused(error, file);
        failure.lines.extend(advice);
        failure
    })?;
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&render(&report))?;
    }
    Ok(ExitCode::from(verdict_code(&report.outcome)))
}

/// The values of the secrets that are granted.
fn secrets_of(grants: &Grants) -> Result<Vec<Secret>, Failure> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let value = |grant: &SecretGrant| match &grant.file {
        Some(file) => secrets::of_file(file),
        None => secrets::of_credential(&grant.name, credentials.as_deref()),
    };
    let read = grants.secrets.iter().map(|grant| {
        let bytes = value(grant)
            .map_err(|error| Failure::new(exit::IO, format!("{}: {error}", grant.name)))?;
        Ok(Secret {
            name: grant.name.clone(),
            value: SecretBytes::new(bytes),
        })
    });
    read.collect()
}

fn verdict_code(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Report(report) => match report.status {
            Status::Healthy => 0,
            Status::Unhealthy => 1,
            Status::Degraded => 2,
        },
        Outcome::Fault(_) => 3,
    }
}

fn render(report: &RunReport) -> String {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = Vec::new();
    match &report.outcome {
        Outcome::Report(found) => {
            let verdict = format!("{:?}", found.status).to_lowercase();
            rows.push(row("verdict", verdict));
            rows.push(row("message", found.message.clone()));
            match found.weight {
                WeightChange::Unchanged => {}
                WeightChange::Set(weight) => rows.push(row("weight", weight.to_string())),
                WeightChange::Offset(offset) => rows.push(row("weight", format!("{offset:+}"))),
            }
            rows.extend(
                found
                    .metrics
                    .iter()
                    .map(|metric| row("metric", format!("{} {}", metric.name, metric.value))),
            );
        }
        Outcome::Fault(fault) => {
            let kind = format!("{:?}", fault.kind).to_lowercase();
            rows.push(row("verdict", format!("none, {kind}")));
            rows.push(row("message", fault.message.clone()));
        }
    }
    rows.push(row(
        "time",
        format!("{:.3} ms", report.took_us as f64 / 1000.0),
    ));
    rows.push(row(
        "memory",
        format!("{} at most", ByteSize(report.memory_peak)),
    ));
    rows.extend(
        report
            .host_calls
            .iter()
            .map(|(call, count)| row("called", format!("{call} {count}"))),
    );
    for (call, line) in &report.denied {
        rows.push(row("denied", call.clone()));
        rows.push(row("", format!("this would grant it: {line}")));
        if let Some(options) = grant::options(line) {
            rows.push(row("", format!("here: {options}")));
        }
    }
    rows.extend(report.log.iter().map(|(level, line)| {
        let level = format!("{level:?}").to_lowercase();
        row("log", format!("{level}: {line}"))
    }));
    columns(&rows)
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("settings are an object, such as {\"name\": \"nginx\"}".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn target(text: &str) -> Result<SocketAddr, String> {
    endpoint::parse(text).ok_or_else(|| endpoint::EXPECTED.to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text)?;
    let range = Duration::from_millis(1)..=Duration::from_secs(300);
    if range.contains(&timeout) {
        Ok(timeout)
    } else {
        Err("a run takes 1ms to 5m".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::{Fault, FaultKind, Report};

    use super::*;

    fn report(outcome: Outcome) -> RunReport {
        RunReport {
            check: "process".to_owned(),
            outcome,
            took_us: 1500,
            memory_peak: 2 << 20,
            host_calls: vec![("process.count".to_owned(), 1)],
            denied: vec![(
                "process.count".to_owned(),
                "permissions.process.names = [\"nginx\"]".to_owned(),
            )],
            log: Vec::new(),
        }
    }

    fn found(status: Status) -> Outcome {
        Outcome::Report(Report {
            status,
            weight: WeightChange::Unchanged,
            message: "1 running".to_owned(),
            metrics: Vec::new(),
        })
    }

    #[test]
    fn the_exit_code_tells_the_verdict() {
        let fault = Outcome::Fault(Fault {
            kind: FaultKind::Trap,
            message: "unreachable".to_owned(),
        });
        let codes = [
            found(Status::Healthy),
            found(Status::Unhealthy),
            found(Status::Degraded),
            fault,
        ];
        assert_eq!(codes.map(|outcome| verdict_code(&outcome)), [0, 1, 2, 3]);
    }

    #[test]
    fn a_report_says_what_was_denied_and_how_to_grant_it() {
        assert_eq!(
            render(&report(found(Status::Healthy))),
            "verdict  healthy\n\
             message  1 running\n\
             time     1.500 ms\n\
             memory   2.0 MiB at most\n\
             called   process.count 1\n\
             denied   process.count\n         \
             this would grant it: permissions.process.names = [\"nginx\"]\n         \
             here: --grant process.names=nginx\n"
        );
    }

    #[test]
    fn settings_are_an_object() {
        assert!(object("{\"a\": 1}").is_ok());
        assert!(object("[]").is_err());
        assert!(object("{").is_err());
    }
}
