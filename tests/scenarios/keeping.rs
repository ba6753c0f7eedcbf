//! What the daemon keeps, knows and tells for plugins: state, routers, named pipes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mainstay_lab::capture::longest_gap;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router, VIRTUAL};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::{process, wait};
use mainstay_protocol::Blob;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use crate::setup::{LONG, Stage, Which, lacking};

fn lacking_prober(scenario: &str) -> bool {
    lacking(scenario, &[Mainstay]) || skip(scenario, &[Need::File(mainstay::prober())])
}

/// A router, and a check that makes these calls every 200 ms within these permissions.
fn configuration(router: &Router, permissions: &str, calls: &Value) -> String {
    format!(
        "{}\n[[plugin]]\nname = \"prober\"\nfile = {:?}\nlimits.log-lines-per-minute = 6000\n\
         permissions = {{ {permissions} }}\n\n\
         [[check]]\nname = \"caller\"\nplugin = \"prober\"\ninterval = \"200ms\"\n\
         settings.calls = {}\n",
        mainstay::configuration(router),
        mainstay::prober(),
        toml_of(calls),
    )
}

/// JSON without null as a value of TOML.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(toml_of).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) => {
            let entries = table.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| format!("{key} = {}", toml_of(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// What came of all calls so far, in their order.
fn outcomes(node: &Node) -> Result<Vec<Value>> {
    let log = node.log()?;
    let starts = log.match_indices(['{']).map(|(at, _)| &log[at..]);
    let values = starts.filter_map(|text| {
        let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        stream.next()?.ok()
    });
    Ok(values
        .filter(|value| value.get("ok").or_else(|| value.get("error")).is_some())
        .collect())
}

/// The numbers that the counting check has come to.
fn counts(node: &Node) -> Result<Vec<i64>> {
    Ok(outcomes(node)?
        .iter()
        .filter_map(|outcome| outcome["ok"].as_i64())
        .collect())
}

/// Waits until the count has gone on by a few from where it is.
fn until_counted_on(node: &Node) -> Result<i64> {
    let before = counts(node)?.last().copied().unwrap_or(0);
    wait::until(LONG, "the check counts on", || {
        node.check_alive()?;
        let last = counts(node)?.last().copied();
        Ok(last.filter(|last| *last > before + 2))
    })
}

#[test]
fn t27_what_is_kept_outlives_all_that_ends_and_stays_small() -> Result<()> {
    let scenario = "t27_what_is_kept_outlives_all_that_ends_and_stays_small";
    if lacking_prober(scenario) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let calls = |word: &str| {
        json!([
            { "data": { "count": "runs" } },
            { "data": { "set": { "key": word, "value": "x".repeat(2000) } } },
        ])
    };
    let state = "state = { size = \"1KiB\", persist = true }";
    let router = Router::fast(100);
    let node = &mut stage.a;
    node.configure(&configuration(&router, state, &calls("one")))?;
    node.start()?;
    until_counted_on(node)?;

    // A reload, with other settings of the check.
    node.configure(&configuration(&router, state, &calls("two")))?;
    let reload = node.reload()?;
    ensure!(reload.status.success(), "{reload:?}");
    until_counted_on(node)?;

    // The worker's end.
    let daemon = node.process()?.pid();
    for pid in process::children(daemon)? {
        kill(pid, Signal::SIGKILL)?;
    }
    let counted = until_counted_on(node)?;

    // The daemon's sudden end, once so much is on disk.
    let file: PathBuf = node.host().files().join("state/plugins/prober.json");
    let on_disk = || -> Result<i64> {
        let document: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        let Blob(bytes) = serde_json::from_value(document["entries"]["runs"].clone())?;
        Ok(String::from_utf8(bytes)?.parse()?)
    };
    wait::until_true(LONG, "so much is on disk", || Ok(on_disk()? >= counted))?;
    node.kill()?;
    let kept = on_disk()?;
    let before = counts(node)?.len();
    node.start()?;
    wait::until_true(LONG, "it counts again", || {
        Ok(counts(node)?.len() > before + 2)
    })?;
    let again = counts(node)?[before];
    assert_eq!(again, kept + 1, "it went on from elsewhere");

    // An orderly end writes what there is.
    until_counted_on(node)?;
    node.stop()?;
    let all = counts(node)?;
    let last = *all.last().context("no count")?;
    let kept = on_disk()?;
    assert!(kept >= last, "{last} counted, {kept} kept");
    node.start()?;
    wait::until_true(LONG, "it counts once more", || {
        Ok(counts(node)?.len() > all.len())
    })?;
    assert_eq!(counts(node)?[all.len()], kept + 1);

    // Nothing was lost up to the sudden end, and what is too much was never kept.
    let first = &all[..before];
    assert!(first.is_sorted_by(|a, b| a < b), "{first:?}");
    let outcomes = outcomes(node)?;
    let refused = |outcome: &&Value| outcome["error"] == "quota-exceeded";
    assert!(outcomes.iter().filter(refused).count() > 5, "{outcomes:?}");
    assert!(fs::metadata(&file)?.len() < 200);
    let others = fs::read_dir(file.parent().context("no directory")?)?;
    assert_eq!(others.count(), 1, "left behind");
    Ok(())
}

#[test]
fn routers_are_seen_as_they_are_through_a_failover() -> Result<()> {
    let scenario = "routers_are_seen_as_they_are_through_a_failover";
    if lacking_prober(scenario) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let calls = json!([{ "data": "routers" }]);
    for (node, priority) in [(&stage.a, 100), (&stage.b, 90)] {
        let router = Router::fast(priority);
        node.configure(&configuration(&router, "routers = true", &calls))?;
    }
    stage.start()?;
    let seen = |node: &Node, wanted: &dyn Fn(&Value) -> bool| -> Result<bool> {
        let outcomes = outcomes(node)?;
        Ok(outcomes.last().is_some_and(|last| wanted(&last["ok"][0])))
    };
    let is = |state: &'static str| move |router: &Value| router["state"] == state;
    wait::until_true(LONG, "a sees itself active", || {
        seen(&stage.a, &is("RouterState::Active"))
    })?;
    wait::until_true(LONG, "b sees that a is active", || {
        seen(&stage.b, &|router| {
            router["state"] == "RouterState::Backup"
                && router["active"] == stage.a.host().address().to_string()
                && router["name"] == "VI_1"
                && router["priority"] == 90
                && router["addresses"][0] == format!("{VIRTUAL}/24")
        })
    })?;
    stage.lab.pull_cable(stage.a.host())?;
    wait::until_true(LONG, "a sees a fault, and b itself active", || {
        Ok(seen(&stage.a, &is("RouterState::Fault"))?
            && seen(&stage.b, &is("RouterState::Active"))?)
    })?;
    stage.lab.plug_cable(stage.a.host())?;
    stage.until_only(Which::A, LONG)?;
    wait::until_true(LONG, "both see that a is back", || {
        Ok(seen(&stage.a, &is("RouterState::Active"))?
            && seen(&stage.b, &is("RouterState::Backup"))?)
    })
}

#[test]
fn a_line_for_a_pipe_never_waits_for_its_reader() -> Result<()> {
    let scenario = "a_line_for_a_pipe_never_waits_for_its_reader";
    if lacking_prober(scenario) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let path = stage.a.host().files().join("pipe");
    let made = Command::new("mkfifo").arg(&path).status()?;
    ensure!(made.success(), "{made}");
    let line = "x".repeat(4000);
    let calls = json!([{ "data": { "pipe": { "path": path, "line": line } } }]);
    let pipes = format!("fifo = [{path:?}]");
    let text = configuration(&Router::fast(100), &pipes, &calls);
    stage.a.configure(&text)?;
    stage.start()?;
    stage.capture.clear();
    let last = |wanted: Value| -> Result<bool> {
        stage.a.check_alive()?;
        Ok(outcomes(&stage.a)?.last() == Some(&wanted))
    };
    let error = |word: &str| json!({ "error": word });
    wait::until_true(LONG, "nobody reads", || last(error("no-reader")))?;
    // A reader that does not read yet.
    let mut reader = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&path)?;
    wait::until_true(LONG, "a line is written", || last(json!({ "ok": "done" })))?;
    wait::until_true(LONG, "the pipe is full", || last(error("full")))?;
    let mut bytes = Vec::new();
    // Ends where there is nothing more for now.
    let _ = reader.read_to_end(&mut bytes);
    assert!(!bytes.is_empty());
    for read in bytes
        .split(|byte| *byte == b'\n')
        .filter(|read| !read.is_empty())
    {
        assert_eq!(read, line.as_bytes(), "half a line");
    }
    wait::until_true(LONG, "there is room again", || {
        last(json!({ "ok": "done" }))
    })?;
    let mut next = String::new();
    BufReader::new(&reader).read_line(&mut next)?;
    assert_eq!(next.trim_end(), line);
    drop(reader);
    wait::until_true(LONG, "nobody reads any more", || last(error("no-reader")))?;
    let gap = longest_gap(&stage.capture.seen().from(stage.a.host().address()));
    assert!(gap < 2 * Router::fast(100).interval, "{gap:?}");
    Ok(())
}
