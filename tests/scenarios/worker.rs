//! The plugin worker dies or stands still: no advertisement is missing, no address moves, and the
//! checks resume.

use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::capture::longest_gap;
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{NginxCheck, Node, Router, VIRTUAL};
use mainstay_lab::process;
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::setup::{LONG, Stage, lacking, lacking_nginx};

/// A condition, so that a check that is lost for good would be seen as a failover.
fn router(priority: u8, stale_after: Option<Duration>) -> Router {
    Router {
        nginx: Some(NginxCheck {
            interval: Duration::from_millis(200),
            weight: None,
            stale_after,
        }),
        ..Router::fast(priority)
    }
}

/// Longer than any worker is away here: what is lost is not to be excused by a report that has
/// become stale.
const PATIENT: Option<Duration> = Some(Duration::from_secs(120));

/// The worker of a node's daemon, when there is one now.
fn worker(node: &Node) -> Result<Option<Pid>> {
    let daemon = node.process()?.pid();
    Ok(process::children(daemon)?
        .into_iter()
        .find(|pid| process::name(*pid).is_ok_and(|name| name == "mainstay-worker")))
}

fn runs(node: &Node) -> Result<u64> {
    node.check("nginx")?["runs"]
        .as_u64()
        .context("a check without runs")
}

/// What must hold all the while: a's advertisements at their interval, and no address that moved.
fn assert_undisturbed(stage: &Stage, watches: &[AddressWatch]) {
    let seen = stage.capture.seen();
    let a = stage.a.host().address();
    assert_eq!(seen.senders(), [a].into());
    let gap = longest_gap(&seen.from(a));
    // None is missing: with one left out there would be two intervals from one to the next.
    assert!(
        gap < 2 * Router::fast(100).interval,
        "an advertisement came {gap:?} after the one before"
    );
    for watch in watches {
        assert_eq!(watch.of(VIRTUAL), [], "the address moved");
    }
}

#[test]
fn t33_killed_fifty_times() -> Result<()> {
    if lacking_nginx("worker_killed_fifty_times", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(|priority| router(priority, PATIENT))?;
    let _nginx = (Nginx::start(stage.a.host())?, Nginx::start(stage.b.host())?);
    stage.start()?;
    wait::until_true(SOON, "the check runs", || Ok(runs(&stage.a)? > 2))?;
    let watches = [
        AddressWatch::on(stage.a.host())?,
        AddressWatch::on(stage.b.host())?,
    ];
    stage.capture.clear();

    let mut killed = Vec::new();
    for _ in 0..50 {
        let before = runs(&stage.a)?;
        let pid = wait::until(LONG, "another worker serves", || {
            let pid = worker(&stage.a)?.filter(|pid| !killed.contains(pid));
            // For more than a second, so that the next one is started without a pause.
            Ok(pid.filter(|_| runs(&stage.a).is_ok_and(|runs| runs > before + 6)))
        })
        .with_context(|| format!("after {} kills", killed.len()))?;
        kill(pid, Signal::SIGKILL)?;
        killed.push(pid);
    }
    let before = runs(&stage.a)?;
    wait::until_true(
        Duration::from_secs(90),
        "the checks resume after the last kill",
        || Ok(runs(&stage.a)? > before + 3 && stage.a.check("nginx")?["status"] == "healthy"),
    )?;
    assert_undisturbed(&stage, &watches);
    Ok(())
}

#[test]
fn t31_stopped() -> Result<()> {
    if lacking_nginx("worker_stopped", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(|priority| router(priority, PATIENT))?;
    let _nginx = (Nginx::start(stage.a.host())?, Nginx::start(stage.b.host())?);
    stage.start()?;
    wait::until_true(SOON, "the check runs", || Ok(runs(&stage.a)? > 2))?;
    let watches = [
        AddressWatch::on(stage.a.host())?,
        AddressWatch::on(stage.b.host())?,
    ];
    stage.capture.clear();

    let pid = worker(&stage.a)?.context("no worker")?;
    kill(pid, Signal::SIGSTOP)?;
    // Found out and replaced, without anybody's help.
    wait::until(Duration::from_secs(60), "another worker is there", || {
        Ok(worker(&stage.a)?.filter(|other| *other != pid))
    })?;
    let before = runs(&stage.a)?;
    wait::until_true(LONG, "the checks resume", || {
        Ok(runs(&stage.a)? > before + 3)
    })?;
    assert_undisturbed(&stage, &watches);
    Ok(())
}

/// A check without its worker is stale after a while, and that decides: fail closed.
#[test]
fn t31_gone_for_longer_than_a_report_counts() -> Result<()> {
    if lacking_nginx("worker_gone_for_longer_than_a_report_counts", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(|priority| router(priority, None))?;
    let _nginx = (Nginx::start(stage.a.host())?, Nginx::start(stage.b.host())?);
    stage.start()?;
    // Its reports count for three intervals and the timeout, 0.8 s. A stopped worker is replaced
    // only after longer than that.
    let pid = worker(&stage.a)?.context("no worker")?;
    kill(pid, Signal::SIGSTOP)?;
    stage.until_only(crate::setup::Which::B, LONG)?;
    // And back by itself.
    stage.until_only(crate::setup::Which::A, Duration::from_secs(90))
}

/// Before it has served at all: the daemon has a router that needs no check, and goes on.
#[test]
fn killed_while_it_loads() -> Result<()> {
    if lacking("worker_killed_while_it_loads", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let text = mainstay_lab::mainstay::configuration(&Router::fast(100));
    stage
        .a
        .configure(&(text + "\n[[hook]]\nplugin = \"log\"\n"))?;
    stage.a.start()?;
    for _ in 0..2 {
        let pid = wait::until(SOON, "there is a worker", || worker(&stage.a))?;
        kill(pid, Signal::SIGKILL)?;
        wait::until_true(SOON, "it is gone", || Ok(worker(&stage.a)? != Some(pid)))?;
    }
    let watch = AddressWatch::on(stage.a.host())?;
    wait::until_true(LONG, "the hook has been told", || {
        stage.a.check_alive()?;
        Ok(stage.a.log()?.contains("backup -> active"))
    })?;
    stage.a.until_state(SOON, "active")?;
    assert!(
        watch.of(VIRTUAL).iter().all(|change| change.added),
        "{:?}",
        watch.of(VIRTUAL)
    );
    Ok(())
}
