//! A component of 12 MB, which takes seconds to compile: nothing else waits for that.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mainstay_lab::capture::longest_gap;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router, VIRTUAL};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::wait;
use mainstay_lab::watch::AddressWatch;

use crate::setup::{LONG, Stage, lacking};

/// Compiling takes its time, the more so on a machine that does something else as well.
const COMPILED: Duration = Duration::from_secs(240);

/// A check that runs all the while. On every host the first process is a bash.
const OTHER: &str = "\n[[check]]\nname = \"other\"\nplugin = \"process\"\n\
    settings = { name = \"bash\" }\ninterval = \"200ms\"\n";

fn javascript() -> String {
    let file = mainstay::javascript();
    format!(
        "\n[[plugin]]\nname = \"javascript\"\nfile = {file:?}\n\
         permissions.process = {{ names = [\"bash\"] }}\n\n\
         [[check]]\nname = \"javascript\"\nplugin = \"javascript\"\n\
         settings = {{ name = \"bash\" }}\ninterval = \"1s\"\n"
    )
}

/// Four checks that compute for 990 of every 1000 ms.
fn loops() -> String {
    let file = mainstay::misbehaving();
    let mut text = format!("\n[[plugin]]\nname = \"loop\"\nfile = {file:?}\n");
    for number in 0..4 {
        text += &format!(
            "\n[[check]]\nname = \"loop-{number}\"\nplugin = \"loop\"\n\
             settings = {{ behaviour = \"loop\" }}\ninterval = \"1s\"\ntimeout = \"990ms\"\n"
        );
    }
    text
}

fn runs(node: &Node) -> Result<u64> {
    node.check("other")?["runs"]
        .as_u64()
        .context("a check without runs")
}

/// Adds the component to a daemon at work, beside what else there is for its worker to do, and looks
/// at everybody else meanwhile.
fn delays_nobody(beside: &str, at_least: u64) -> Result<()> {
    let mut stage = Stage::pair(Router::fast)?;
    let before = mainstay::configuration(&Router::fast(100)) + OTHER + beside;
    stage.a.configure(&before)?;
    stage.start()?;
    wait::until_true(LONG, "the other check runs", || Ok(runs(&stage.a)? > 2))?;
    let watches = [
        AddressWatch::on(stage.a.host())?,
        AddressWatch::on(stage.b.host())?,
    ];
    stage.capture.clear();

    stage.a.configure(&(before + &javascript()))?;
    let first = runs(&stage.a)?;
    let log = stage.a.host().files().join("reload");
    let reload = stage.a.control("reload").spawn(&log)?;
    let mut meanwhile = first;
    let status = wait::until(COMPILED, "it is compiled", || {
        let ended = reload.ended()?;
        if ended.is_none() {
            meanwhile = runs(&stage.a)?;
        }
        Ok(ended)
    })?;
    ensure!(status.success(), "{status}: {}", reload.log()?);
    let said = stage.a.log()?;
    ensure!(said.contains("compiled plugin=\"javascript\""), "{said}");
    ensure!(
        meanwhile >= first + at_least,
        "the other check ran {} times while it was compiled",
        meanwhile - first
    );
    wait::until_true(LONG, "the check in JavaScript gives its verdict", || {
        Ok(stage.a.check("javascript")?["status"] == "healthy")
    })?;
    let message = stage.a.check("javascript")?["message"].to_string();
    ensure!(message.contains("processes bash"), "{message}");

    let seen = stage.capture.seen();
    assert_eq!(seen.senders(), [stage.a.host().address()].into());
    let gap = longest_gap(&seen.advertisements);
    assert!(
        gap < Router::fast(90).down_interval(),
        "an advertisement came {gap:?} after the one before"
    );
    for watch in &watches {
        assert_eq!(watch.of(VIRTUAL), [], "the address moved");
    }
    let transitions = stage.b.router("VI_1")?["state"].clone();
    assert_eq!(transitions, "backup");
    Ok(())
}

#[test]
fn t30_twelve_megabytes_delay_nobody_while_they_are_compiled() -> Result<()> {
    const NAME: &str = "t30_twelve_megabytes_delay_nobody_while_they_are_compiled";
    let needs = [Need::File(mainstay::javascript())];
    if lacking(NAME, &[Mainstay]) || skip(NAME, &needs) {
        return Ok(());
    }
    delays_nobody("", 10)
}

#[test]
fn t30_four_loops_and_a_compilation_delay_no_advertisement() -> Result<()> {
    const NAME: &str = "t30_four_loops_and_a_compilation_delay_no_advertisement";
    let needs = [
        Need::File(mainstay::javascript()),
        Need::File(mainstay::misbehaving()),
    ];
    if lacking(NAME, &[Mainstay]) || skip(NAME, &needs) {
        return Ok(());
    }
    delays_nobody(&loops(), 2)
}
