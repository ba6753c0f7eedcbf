//! A cable that is pulled and plugged in again.

use anyhow::Result;
use mainstay_lab::node::Implementation::{self, Keepalived, Mainstay};
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::wait::{self, SOON};

use crate::setup::{LONG, Stage, Which, lacking};

fn pulled_and_plugged(scenario: &str, nodes: [Implementation; 2]) -> Result<()> {
    if lacking(scenario, &nodes) || skip(scenario, &[Need::Executable("ping")]) {
        return Ok(());
    }
    let mut stage = Stage::new(
        (nodes[0], &Router::fast(100)),
        (nodes[1], &Router::fast(90)),
    )?;
    stage.start()?;
    until_neighbour_is(&stage, Which::A)?;

    stage.lab.pull_cable(stage.a.host())?;
    wait::until_true(LONG, "b holds the address", || stage.b.holds(VIRTUAL))?;
    until_neighbour_is(&stage, Which::B)?;
    if nodes[0] == Mainstay {
        // Nobody can hear it: it is out of the game, and says why.
        stage.a.until_state(SOON, "fault")?;
    }

    stage.lab.plug_cable(stage.a.host())?;
    stage.until_only(Which::A, LONG)?;
    until_neighbour_is(&stage, Which::A)
}

/// Waits until the client would send to that node, without having asked again: gratuitous ARP
/// corrects what it knows.
fn until_neighbour_is(stage: &Stage, which: Which) -> Result<()> {
    let mac = match which {
        Which::A => stage.a.host().mac()?,
        Which::B => stage.b.host().mac()?,
    };
    // Without an entry there is nothing to correct.
    if stage.client.neighbour(VIRTUAL)?.is_none() {
        stage
            .client
            .command("ping")
            .args(["-c1", "-W1", &VIRTUAL.to_string()])
            .output()?;
    }
    wait::until_true(LONG, &format!("the client's ARP entry is {mac}"), || {
        Ok(stage.client.neighbour(VIRTUAL)? == Some(mac.clone()))
    })
}

#[test]
fn pulled_and_plugged_mainstay() -> Result<()> {
    pulled_and_plugged("pulled_and_plugged_mainstay", [Mainstay, Mainstay])
}

#[test]
fn pulled_and_plugged_against_keepalived() -> Result<()> {
    pulled_and_plugged(
        "pulled_and_plugged_against_keepalived",
        [Mainstay, Keepalived],
    )
}

#[test]
fn pulled_and_plugged_keepalived() -> Result<()> {
    pulled_and_plugged("pulled_and_plugged_keepalived", [Keepalived, Keepalived])
}
