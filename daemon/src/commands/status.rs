//! `mainstay status`: what is active where, why and since when.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use mainstay_core::status::{CheckStatus, Phase, RouterStatus};

use super::text::{columns, plain};
use super::{Failure, ask, misunderstood, print, print_json, times};
use crate::control::{Request, Response, StatusDocument};
use crate::exit;
use crate::worker::WorkerState;

/// Prints the status of the daemon of this runtime directory.
pub(crate) fn status(runtime_dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let Response::Status(document) = ask(runtime_dir, &Request::Status, exit::UNAVAILABLE)? else {
        return Err(misunderstood());
    };
    if json {
        let mut value =
            serde_json::to_value(&document).map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        times::readable(&mut value);
        return print_json(&value);
    }
    print(&render(&document, SystemTime::now()))
}

fn render(document: &StatusDocument, now: SystemTime) -> String {
    let uptime = Duration::try_from_secs_f64(document.uptime_seconds).unwrap_or_default();
    let mut text = format!(
        "node {}, mainstay {}, up {}\n",
        plain(&document.node),
        plain(&document.version),
        times::whole_seconds(uptime)
    );
    if let Some(refused) = &document.refused_reload {
        let at = times::rfc3339(refused.at_unix_ms);
        let _ = writeln!(
            text,
            "\nthe files are not what is in force: the reload at {at} was refused"
        );
        for problem in &refused.problems {
            let _ = writeln!(text, "  {}", plain(problem));
        }
    }
    if !document.engine.routers.is_empty() {
        text.push('\n');
        text += &routers(&document.engine.routers, now);
    }
    if !document.engine.checks.is_empty() {
        text.push('\n');
        text += &checks(&document.engine.checks);
    }
    text += &worker(document);
    for (count, what) in [
        (document.packets_dropped, "VRRP packets"),
        (document.log_lines_dropped, "log lines"),
    ] {
        if count > 0 {
            let _ = writeln!(
                text,
                "\n{count} {what} were dropped because nobody read them in time"
            );
        }
    }
    text
}

fn routers(routers: &[RouterStatus], now: SystemTime) -> String {
    let mut rows = vec![heading(&[
        "ROUTER",
        "INTERFACE",
        "ID",
        "STATE",
        "PRIORITY",
        "ACTIVE ROUTER",
        "SINCE",
    ])];
    rows.extend(routers.iter().map(|router| {
        vec![
            router.name.clone(),
            router.interface.clone(),
            router.id.to_string(),
            state(router),
            priority(router),
            router
                .active_router
                .map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
            format!(
                "{} ago, {}",
                times::ago(router.since_unix_ms, now),
                times::rfc3339(router.since_unix_ms)
            ),
        ]
    }));
    let mut text = columns(&rows);
    for router in routers {
        let _ = writeln!(text, "\n{}", plain(&router.name));
        let addresses: Vec<String> = router.addresses.iter().map(ToString::to_string).collect();
        let held = if router.holds_addresses {
            "here"
        } else {
            "not here"
        };
        let mut details = vec![detail(
            "addresses",
            format!("{} ({held})", addresses.join(", ")),
        )];
        if !router.cause.is_empty() {
            details.push(detail("why", router.cause.clone()));
        }
        if let Some(reason) = &router.priority.reason {
            details.push(detail(
                "priority",
                format!("{}: {reason}", priority(router)),
            ));
        }
        if let Some(peer) = &router.peer {
            let heard = times::ago(peer.heard_unix_ms, now);
            let text = format!(
                "{} with priority {}, heard {heard} ago",
                peer.address, peer.priority
            );
            details.push(detail("peer", text));
        }
        details.extend(
            router
                .faults
                .iter()
                .map(|text| detail("fault", text.clone())),
        );
        details.extend(
            router
                .warnings
                .iter()
                .map(|text| detail("warning", text.clone())),
        );
        let rejected = &router.counters.rejected;
        if !rejected.is_empty() {
            let counts: Vec<String> = rejected
                .iter()
                .map(|(reason, count)| format!("{reason} {count}"))
                .collect();
            details.push(detail("rejected", counts.join(", ")));
        }
        text += &columns(&details);
    }
    text
}

fn checks(checks: &[CheckStatus]) -> String {
    let mut rows = vec![heading(&[
        "CHECK",
        "STATUS",
        "IN SERVICE",
        "RUNS",
        "ERRORS",
        "LAST RUN",
        "MESSAGE",
    ])];
    rows.extend(checks.iter().map(|check| {
        vec![
            check.name.clone(),
            word(&check.status),
            if check.in_service { "yes" } else { "no" }.to_owned(),
            check.runs.to_string(),
            check.errors.to_string(),
            format!("{:.1} ms", check.last_run_seconds * 1000.0),
            check.message.clone(),
        ]
    }));
    columns(&rows)
}

/// The worker and its plugins, as far as somebody should look at them.
fn worker(document: &StatusDocument) -> String {
    let worker = &document.worker;
    let mut text = String::new();
    if worker.state != WorkerState::Idle && worker.state != WorkerState::Running {
        let _ = writeln!(text, "\nthe plugin worker is {}", worker.state);
    }
    if worker.restarts > 0 {
        let end = worker.last_end.as_deref().unwrap_or("unknown");
        let _ = writeln!(
            text,
            "\nthe plugin worker was started again {}; the last one ended so: {}",
            times(worker.restarts),
            plain(end)
        );
    }
    for plugin in &worker.quarantined {
        let _ = writeln!(
            text,
            "\nthe plugin {} rests, because workers died of it",
            plain(plugin)
        );
    }
    text
}

fn state(router: &RouterStatus) -> String {
    match router.phase {
        None => router.state.to_string(),
        Some(Phase::Releasing) => format!("{} (releasing)", router.state),
        Some(Phase::Resuming) => format!("{} (resuming)", router.state),
    }
}

fn priority(router: &RouterStatus) -> String {
    let priority = &router.priority;
    if priority.base == priority.effective {
        priority.base.to_string()
    } else {
        format!("{} -> {}", priority.base, priority.effective)
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn heading(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn detail(name: &str, text: String) -> Vec<String> {
    vec![format!("  {name}"), text]
}

/// A value as it stands in the JSON document.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests;
