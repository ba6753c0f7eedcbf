//! An interface that is missing, appears, is renamed and goes away again.

use anyhow::Result;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::wait::{self, SOON};

use crate::setup::{LONG, Stage, lacking};

/// A router on `lan0`, which no host has at first.
fn configuration() -> String {
    mainstay::configuration(&Router::fast(100)).replace("\"eth0\"", "\"lan0\"")
}

#[test]
fn missing_until_it_appears_under_its_name() -> Result<()> {
    if lacking("missing_until_it_appears_under_its_name", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.configure(&configuration())?;
    let output = stage.a.validate()?;
    assert!(
        output.status.success(),
        "a missing interface is a warning: {output:?}"
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("lan0"), "{said}");

    stage.a.start()?;
    stage.a.until_state(SOON, "fault")?;
    let faults = stage.a.router("VI_1")?["faults"].to_string();
    assert!(faults.contains("missing"), "{faults}");

    // It appears under another name, gets its address, comes up, and is renamed.
    let host = stage.a.host();
    stage.lab.attach(host, "new0")?;
    host.ip("addr add 192.168.1.201/24 dev new0")?;
    host.ip("link set dev new0 name lan0")?;
    wait::until_true(SOON, "the fault is that it is down", || {
        Ok(stage.a.router("VI_1")?["faults"]
            .to_string()
            .contains("carrier"))
    })?;
    host.ip("link set dev lan0 up")?;
    stage.a.until_state(LONG, "active")?;
    assert!(
        host.addresses("lan0")?
            .contains(&"192.168.1.100/24".to_owned())
    );

    // Renamed away: it is no longer the one that is configured.
    host.ip("link set dev lan0 name old0")?;
    stage.a.until_state(SOON, "fault")?;
    wait::until_true(SOON, "the renamed interface has lost the address", || {
        Ok(!stage.a.holds(VIRTUAL)?)
    })?;
    host.ip("link set dev old0 name lan0")?;
    stage.a.until_state(LONG, "active")?;

    // Gone, and another one in its place.
    host.ip("link del dev lan0")?;
    stage.a.until_state(SOON, "fault")?;
    assert!(!stage.a.holds(VIRTUAL)?);
    stage.lab.attach(host, "lan0")?;
    host.ip("addr add 192.168.1.201/24 dev lan0")?;
    host.ip("link set dev lan0 up")?;
    stage.a.until_state(LONG, "active")
}

#[test]
fn without_an_address_of_its_own() -> Result<()> {
    if lacking("without_an_address_of_its_own", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.host().ip("addr del 192.168.1.101/24 dev eth0")?;
    stage.a.start()?;
    stage.a.until_state(SOON, "fault")?;
    let faults = stage.a.router("VI_1")?["faults"].to_string();
    assert!(faults.contains("address of its own"), "{faults}");
    stage.a.host().ip("addr add 192.168.1.101/24 dev eth0")?;
    stage.a.until_state(LONG, "active")
}
