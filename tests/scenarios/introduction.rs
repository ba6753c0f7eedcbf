//! The set-up of keepalived's introduction, with the check as a Wasm component and a real nginx.

use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::Implementation::{self, Keepalived, Mainstay};
use mainstay_lab::node::{NginxCheck, Router};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::wait::{self, SOON};

use crate::setup::{LONG, Stage, Which, lacking_nginx};

/// Its check, every two seconds.
fn introduction(priority: u8, weight: i16) -> Router {
    Router {
        nginx: Some(NginxCheck {
            interval: Duration::from_secs(2),
            weight: Some(weight),
            stale_after: None,
        }),
        ..Router::introduction(priority)
    }
}

/// The same at the pace of the other scenarios.
fn fast(priority: u8, weight: Option<i16>) -> Router {
    Router {
        nginx: Some(NginxCheck {
            interval: Duration::from_millis(200),
            weight,
            stale_after: None,
        }),
        ..Router::fast(priority)
    }
}

/// Stops nginx on a and starts it again.
fn nginx_decides(scenario: &str, nodes: [Implementation; 2], routers: [&Router; 2]) -> Result<()> {
    // keepalived changes its groups to run its check, which user namespaces forbid.
    if lacking_nginx(scenario, &nodes)
        || (nodes[0] == Keepalived && skip(scenario, &[Need::Machine]))
    {
        return Ok(());
    }
    let mut stage = Stage::new((nodes[0], routers[0]), (nodes[1], routers[1]))?;
    let nginx = Nginx::start(stage.a.host())?;
    let _other = Nginx::start(stage.b.host())?;
    stage.start()?;

    nginx.stop()?;
    stage.until_only(Which::B, LONG)?;

    let _nginx = Nginx::start(stage.a.host())?;
    stage.until_only(Which::A, LONG)
}

#[test]
fn weight_of_the_introduction() -> Result<()> {
    let routers = [&introduction(100, -20), &introduction(90, -20)];
    nginx_decides("weight_of_the_introduction", [Mainstay, Mainstay], routers)
}

#[test]
fn weight_of_the_introduction_keepalived() -> Result<()> {
    let routers = [&introduction(100, -20), &introduction(90, -20)];
    nginx_decides(
        "weight_of_the_introduction_keepalived",
        [Keepalived, Keepalived],
        routers,
    )
}

#[test]
fn weight_against_keepalived() -> Result<()> {
    let routers = [&introduction(100, -20), &introduction(90, -20)];
    nginx_decides("weight_against_keepalived", [Mainstay, Keepalived], routers)
}

#[test]
fn hard_condition() -> Result<()> {
    let routers = [&fast(100, None), &fast(90, None)];
    nginx_decides("hard_condition", [Mainstay, Mainstay], routers)
}

#[test]
fn hard_condition_is_a_fault_by_name() -> Result<()> {
    if lacking_nginx("hard_condition_is_a_fault_by_name", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(|priority| fast(priority, None))?;
    // Nginx nowhere: a check that says no keeps a node out from the start.
    stage.a.start()?;
    stage.a.until_state(SOON, "fault")?;
    wait::until_true(SOON, "the fault names the check", || {
        let router = stage.a.router("VI_1")?;
        Ok(router["faults"]
            .to_string()
            .contains("check nginx: not running: nginx"))
    })
    .with_context(|| format!("{:?}", stage.a.status()))?;
    assert!(!stage.a.holds(mainstay_lab::node::VIRTUAL)?);
    assert_eq!(
        stage.capture.seen().advertisements,
        [],
        "a router in fault does not advertise"
    );
    let _nginx = Nginx::start(stage.a.host())?;
    stage.a.until_state(LONG, "active")
}

/// The introduction's own weight of 2, with which nothing ever fails over: 100 without nginx still
/// beats 90 + 2.
#[test]
fn weight_that_cannot_work_is_named() -> Result<()> {
    if lacking_nginx("weight_that_cannot_work_is_named", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(|priority| fast(priority, Some(2)))?;
    let _nginx = (Nginx::start(stage.a.host())?, Nginx::start(stage.b.host())?);
    // A must hear b once to know its priority.
    stage.b.start()?;
    stage.until_only(Which::B, LONG)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    wait::until_true(SOON, "a warning names the weight", || {
        let warnings = stage.a.router("VI_1")?["warnings"].to_string();
        Ok(warnings.contains("nginx") && warnings.contains("weight"))
    })
}
