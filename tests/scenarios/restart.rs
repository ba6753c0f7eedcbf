//! The whole daemon is killed and started again.

use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::Implementation::{self, Keepalived, Mainstay};
use mainstay_lab::node::{NginxCheck, Router, VIRTUAL};
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;

use crate::setup::{LONG, Stage, Which, lacking, lacking_nginx};

/// Killed and started at once: the address stays where it is, the peer notices nothing.
fn adopts(scenario: &str, peer: Implementation) -> Result<()> {
    if lacking_nginx(scenario, &[Mainstay, peer]) {
        return Ok(());
    }
    // The down interval of 3.6 s leaves time to start, on a busy machine too.
    let second = |priority| Router {
        version: 3,
        password: None,
        nginx: Some(NginxCheck {
            interval: Duration::from_millis(500),
            weight: None,
            stale_after: None,
        }),
        ..Router::introduction(priority)
    };
    let mut stage = Stage::new((Mainstay, &second(100)), (peer, &second(90)))?;
    let _nginx = (Nginx::start(stage.a.host())?, Nginx::start(stage.b.host())?);
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;
    let peers = AddressWatch::on(stage.b.host())?;

    stage.capture.clear();
    stage.a.kill()?;
    stage.a.start()?;
    stage.a.until_state(SOON, "active")?;
    let router = stage.a.router("VI_1")?;
    let cause = router["cause"].as_str().context("no cause")?;
    assert!(cause.contains("resumed"), "{cause}");

    // It advertises again, and the check runs again.
    wait::until_true(LONG, "a advertises five times", || {
        Ok(stage.capture.seen().from(stage.a.host().address()).len() >= 5)
    })?;
    wait::until_true(LONG, "the check runs", || {
        Ok(stage.a.check("nginx")?["runs"].as_u64() > Some(1))
    })?;
    assert_eq!(watch.of(VIRTUAL), [], "the address was touched");
    assert_eq!(peers.of(VIRTUAL), [], "the peer took over");
    assert_eq!(
        stage.capture.seen().senders(),
        [stage.a.host().address()].into()
    );
    Ok(())
}

#[test]
fn adopts_beside_mainstay() -> Result<()> {
    adopts("adopts_beside_mainstay", Mainstay)
}

#[test]
fn adopts_beside_keepalived() -> Result<()> {
    adopts("adopts_beside_keepalived", Keepalived)
}

/// The peer has taken over: what the killed one left goes at once, not after a down interval.
#[test]
fn lets_go_when_a_peer_took_over() -> Result<()> {
    if lacking("lets_go_when_a_peer_took_over", &[Mainstay]) {
        return Ok(());
    }
    let kept = |priority| Router {
        preempt: false,
        ..Router::fast(priority)
    };
    let mut stage = Stage::pair(kept)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    stage.b.start()?;
    stage.b.until_state(SOON, "backup")?;

    stage.a.kill()?;
    wait::until_true(LONG, "b took over", || stage.b.holds(VIRTUAL))?;
    assert!(
        stage.a.holds(VIRTUAL)?,
        "a killed daemon cannot remove anything"
    );
    let peers = AddressWatch::on(stage.b.host())?;
    stage.capture.clear();
    stage.a.start()?;
    stage.a.until_state(SOON, "backup")?;
    stage.until_only(Which::B, SOON)?;
    wait::until_true(LONG, "b advertises twenty times", || {
        Ok(stage.capture.seen().from(stage.b.host().address()).len() >= 20)
    })?;
    assert_eq!(
        stage.capture.seen().from(stage.a.host().address()),
        [],
        "a spoke before it looked"
    );
    assert_eq!(peers.of(VIRTUAL), []);
    Ok(())
}

/// Alone, but away for longer than its down interval: it begins as a backup.
#[test]
fn lets_go_after_too_long() -> Result<()> {
    if lacking("lets_go_after_too_long", &[Mainstay]) {
        return Ok(());
    }
    let router = Router::fast(100);
    let mut stage = Stage::new((Mainstay, &router), (Mainstay, &Router::fast(90)))?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    wait::until_true(SOON, "a advertises", || {
        Ok(!stage.capture.seen().advertisements.is_empty())
    })?;
    stage.a.kill()?;
    let last = stage
        .capture
        .seen()
        .advertisements
        .last()
        .copied()
        .context("nothing was advertised")?;
    let watch = AddressWatch::on(stage.a.host())?;
    wait::until_true(SOON, "the down interval has passed", || {
        Ok(mainstay_lab::watch::now() > last.at + 2 * router.down_interval())
    })?;
    stage.a.start()?;
    stage.a.until_state(LONG, "active")?;
    let changes: Vec<bool> = wait::until(SOON, "the address has come back", || {
        let changes = watch.of(VIRTUAL);
        Ok((changes.len() >= 2).then(|| changes.iter().map(|change| change.added).collect()))
    })?;
    assert_eq!(
        changes,
        [false, true],
        "let go at once, taken again as active"
    );
    Ok(())
}
