//! A planned stop, and the way back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mainstay_lab::node::Implementation::{self, Keepalived, Mainstay};
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::probe::{Echo, Prober};
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;

use crate::setup::{LONG, Stage, Which, lacking};

/// The backup takes over in skew time, and until it is heard the address stays: the client misses
/// next to nothing.
fn nothing_is_lost(scenario: &str, backup: Implementation) -> Result<()> {
    if lacking(scenario, &[Mainstay, backup]) {
        return Ok(());
    }
    let (a, b) = (Router::introduction(100), Router::introduction(90));
    let mut stage = Stage::new((Mainstay, &a), (backup, &b))?;
    let _echoes = (Echo::on(stage.a.host())?, Echo::on(stage.b.host())?);
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;
    let prober = Prober::on(&stage.client, VIRTUAL, Duration::from_millis(5))?;
    wait::until_true(SOON, "a answers the client", || {
        Ok(prober.last_answer().as_deref() == Some("a"))
    })?;

    stage.capture.clear();
    let before = Instant::now();
    let process = stage.a.ask_to_stop()?;
    stage.until_only(Which::B, LONG)?;
    process.wait(SOON)?;
    wait::until_true(SOON, "b answers the client", || {
        Ok(prober.last_answer().as_deref() == Some("b"))
    })?;

    let seen = stage.capture.seen();
    let last_words = seen.from(stage.a.host().address());
    let farewell = last_words
        .iter()
        .find(|words| words.priority == 0)
        .context("no priority 0")?;
    let takeover = seen
        .from(stage.b.host().address())
        .first()
        .copied()
        .context("b said nothing")?;
    let changes = watch.of(VIRTUAL);
    let removal = changes
        .iter()
        .find(|change| !change.added)
        .context("a kept the address")?;
    assert!(
        takeover.at > farewell.at,
        "b took over before a said that it stops"
    );
    assert!(
        takeover.at - farewell.at < b.down_interval() - b.skew(),
        "b waited {:?}, longer than the skew time of {:?}",
        takeover.at - farewell.at,
        b.skew()
    );
    assert!(
        removal.at >= takeover.at,
        "a let the address go before it heard b"
    );
    let gap = prober.longest_gap_since(before);
    assert!(gap < b.skew() / 2, "the client had no answer for {gap:?}");
    Ok(())
}

#[test]
fn nothing_is_lost_to_mainstay() -> Result<()> {
    nothing_is_lost("nothing_is_lost_to_mainstay", Mainstay)
}

#[test]
fn nothing_is_lost_to_keepalived() -> Result<()> {
    nothing_is_lost("nothing_is_lost_to_keepalived", Keepalived)
}

#[test]
fn lets_go_when_nobody_takes_over() -> Result<()> {
    if lacking("lets_go_when_nobody_takes_over", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    // Bounded, and the daemon ends well.
    let process = stage.a.ask_to_stop()?;
    let status = process.wait(LONG)?;
    assert!(status.success(), "{status}");
    assert!(!stage.a.holds(VIRTUAL)?);
    Ok(())
}

/// The better router comes back: it takes over, or it doesn't.
fn comes_back(scenario: &str, nodes: [Implementation; 2], preempt: bool) -> Result<()> {
    if lacking(scenario, &nodes) {
        return Ok(());
    }
    let a = Router {
        preempt,
        ..Router::fast(100)
    };
    let mut stage = Stage::new((nodes[0], &a), (nodes[1], &Router::fast(90)))?;
    stage.b.start()?;
    stage.until_only(Which::B, LONG)?;
    let watch = AddressWatch::on(stage.b.host())?;
    stage.a.start()?;
    if preempt {
        return stage.until_only(Which::A, LONG);
    }
    // It has heard b for many down intervals, and is content.
    if nodes[0] == Mainstay {
        wait::until_true(LONG, "a has heard b fifty times", || {
            let heard = stage
                .a
                .router("VI_1")
                .map(|router| router["counters"]["received"].as_u64());
            Ok(heard.ok().flatten().unwrap_or(0) > 50)
        })?;
        stage.a.until_state(SOON, "backup")?;
    } else {
        stage.capture.clear();
        wait::until_true(LONG, "b has advertised fifty times", || {
            Ok(stage.capture.seen().advertisements.len() > 50)
        })?;
    }
    stage.until_only(Which::B, SOON)?;
    assert_eq!(watch.of(VIRTUAL), [], "the address moved");
    Ok(())
}

#[test]
fn preempts() -> Result<()> {
    comes_back("preempts", [Mainstay, Mainstay], true)
}

#[test]
fn does_not_preempt() -> Result<()> {
    comes_back("does_not_preempt", [Mainstay, Mainstay], false)
}

#[test]
fn does_not_preempt_keepalived() -> Result<()> {
    comes_back("does_not_preempt_keepalived", [Mainstay, Keepalived], false)
}

#[test]
fn keepalived_does_not_preempt() -> Result<()> {
    comes_back("keepalived_does_not_preempt", [Keepalived, Mainstay], false)
}

#[test]
fn keepalived_does_not_preempt_keepalived() -> Result<()> {
    comes_back(
        "keepalived_does_not_preempt_keepalived",
        [Keepalived, Keepalived],
        false,
    )
}
