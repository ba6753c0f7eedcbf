//! Hooks are told of every transition of their router, in order, after it happened.

use anyhow::{Context, Result};
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::{process, wait};
use nix::sys::signal::{Signal, kill};

use crate::setup::{LONG, Stage, Which, lacking};

/// The transitions of the hook's lines in a log, as `FROM -> TO`.
fn transitions(log: &str) -> Vec<(String, String)> {
    log.lines()
        .filter(|line| line.contains("id 51)") && line.contains("addresses 192.168.1.100/24"))
        .filter_map(|line| {
            let (before, after) = line.split_once(" -> ")?;
            let from = before.rsplit(' ').next()?.to_owned();
            let to = after.split(',').next()?.to_owned();
            Some((from, to))
        })
        .collect()
}

/// The transitions of a node that became active and lost its cable so many times.
fn expected(times: usize) -> Vec<(String, String)> {
    let begin = [("initialize", "backup"), ("backup", "active")];
    let each = [
        ("active", "fault"),
        ("fault", "backup"),
        ("backup", "active"),
    ];
    begin
        .into_iter()
        .chain((0..times).flat_map(|_| each))
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect()
}

#[test]
fn every_transition_in_order() -> Result<()> {
    if lacking("hooks_every_transition_in_order", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.configure(
        &(mainstay::configuration(&Router::fast(100)) + "\n[[hook]]\nplugin = \"log\"\n"),
    )?;
    stage.start()?;
    for _ in 0..3 {
        stage.lab.pull_cable(stage.a.host())?;
        wait::until_true(LONG, "b holds the address", || stage.b.holds(VIRTUAL))?;
        stage.lab.plug_cable(stage.a.host())?;
        stage.until_only(Which::A, LONG)?;
    }
    let expected = expected(3);
    let mut told = Vec::new();
    let result = wait::until_true(LONG, "the hook has been told of everything", || {
        told = transitions(&stage.a.log()?);
        Ok(told.len() >= expected.len())
    });
    assert_eq!(told, expected);
    result?;

    // And of the end, while the daemon stops.
    stage.a.stop()?;
    let told = transitions(&stage.a.log()?);
    assert_eq!(
        told.last(),
        Some(&("active".to_owned(), "stopped".to_owned())),
        "{told:?}"
    );
    Ok(())
}

/// The worker is killed before each transition: it is told of late, and perhaps twice, but told.
#[test]
fn at_least_once_when_the_worker_dies() -> Result<()> {
    if lacking("hooks_at_least_once_when_the_worker_dies", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.configure(
        &(mainstay::configuration(&Router::fast(100)) + "\n[[hook]]\nplugin = \"log\"\n"),
    )?;
    stage.start()?;
    // A worker that dies while it loads the first configuration is another matter.
    wait::until_true(LONG, "the hook has been told of the beginning", || {
        Ok(transitions(&stage.a.log()?) == expected(0))
    })?;
    let daemon = stage.a.process()?.pid();
    for _ in 0..3 {
        for pid in process::children(daemon)? {
            kill(pid, Signal::SIGKILL)?;
        }
        stage.lab.pull_cable(stage.a.host())?;
        wait::until_true(LONG, "b holds the address", || stage.b.holds(VIRTUAL))?;
        stage.lab.plug_cable(stage.a.host())?;
        stage.until_only(Which::A, LONG)?;
    }
    let mut told = Vec::new();
    wait::until_true(LONG, "the hook has been told of everything", || {
        told = transitions(&stage.a.log()?);
        told.dedup();
        Ok(told == expected(3))
    })
    .with_context(|| format!("told of {told:?}"))
}
