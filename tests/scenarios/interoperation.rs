//! Each implementation as the active router and as the backup of each: failover, preemption and
//! handing over, in both directions. keepalived against itself shows what the lab must show.

use anyhow::{Context, Result};
use mainstay_lab::node::Implementation::{self, Keepalived, Mainstay};
use mainstay_lab::node::Router;
use mainstay_lab::wait;

use crate::setup::{LONG, Stage, Which, lacking};

/// A takes over at the start, b when a dies, a again when it is back, b when a stops.
fn failover(
    scenario: &str,
    implementations: [Implementation; 2],
    router: fn(u8) -> Router,
) -> Result<()> {
    if lacking(scenario, &implementations) {
        return Ok(());
    }
    let [a, b] = implementations;
    let (a_router, b_router) = (router(100), router(90));
    let mut stage = Stage::new((a, &a_router), (b, &b_router))?;
    // B first and alone, so that a has to preempt.
    stage.b.start()?;
    stage.until_only(Which::B, LONG)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let (a_address, b_address) = (stage.a.host().address(), stage.b.host().address());

    stage.capture.clear();
    wait::until_true(LONG, "a advertises", || {
        Ok(!stage.capture.seen().from(a_address).is_empty())
    })?;
    stage.a.kill()?;
    stage.a.host().ip("addr flush dev eth0 to 192.168.1.100")?;
    stage.until_only(Which::B, LONG)?;
    let seen = stage.capture.seen();
    let last = seen.from(a_address).last().copied();
    let first = seen.from(b_address).first().copied();
    let (last, first) = last.zip(first).context("one of them said nothing")?;
    let silence = first.at.saturating_sub(last.at);
    // Their clocks are not quite the capture's.
    assert!(
        silence + b_router.interval / 10 >= b_router.down_interval(),
        "b took over too soon: {silence:?}"
    );

    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;

    stage.capture.clear();
    stage.a.stop()?;
    stage.until_only(Which::B, LONG)?;
    let seen = stage.capture.seen();
    assert!(
        seen.from(a_address)
            .iter()
            .any(|advertisement| advertisement.priority == 0),
        "a node that stops says so: {:?}",
        seen.advertisements
    );
    Ok(())
}

macro_rules! matrix {
    ($($name:ident: $a:expr, $b:expr, $router:expr;)*) => {
        $(#[test] fn $name() -> Result<()> { failover(stringify!($name), [$a, $b], $router) })*
    };
}

/// Version 3 at one second.
fn version_3(priority: u8) -> Router {
    Router {
        version: 3,
        password: None,
        ..Router::introduction(priority)
    }
}

matrix! {
    v2_pass_keepalived_keepalived: Keepalived, Keepalived, Router::introduction;
    v3_fast_keepalived_keepalived: Keepalived, Keepalived, Router::fast;
    v2_pass_mainstay_keepalived: Mainstay, Keepalived, Router::introduction;
    v2_pass_keepalived_mainstay: Keepalived, Mainstay, Router::introduction;
    v2_pass_mainstay_mainstay: Mainstay, Mainstay, Router::introduction;
    v3_mainstay_keepalived: Mainstay, Keepalived, version_3;
    v3_keepalived_mainstay: Keepalived, Mainstay, version_3;
    v3_fast_mainstay_keepalived: Mainstay, Keepalived, Router::fast;
    v3_fast_keepalived_mainstay: Keepalived, Mainstay, Router::fast;
    v3_fast_mainstay_mainstay: Mainstay, Mainstay, Router::fast;
}
