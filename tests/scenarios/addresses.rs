//! Whose addresses are whose: only what is ours by evidence is ever removed.

use anyhow::Result;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::{lab, mainstay};

use crate::setup::{LONG, Stage, Which, lacking};

/// Two addresses, of which the second is dropped from the configuration while nobody runs.
fn two() -> Router {
    Router {
        addresses: vec!["192.168.1.100/24".to_owned(), "192.168.1.200/32".to_owned()],
        ..Router::fast(100)
    }
}

/// What a host has on its interface, sorted.
fn addresses(host: &lab::Host) -> Result<Vec<String>> {
    let mut addresses = host.addresses(lab::INTERFACE)?;
    addresses.sort();
    Ok(addresses)
}

#[test]
fn those_no_longer_configured_go_after_a_crash() -> Result<()> {
    if lacking("those_no_longer_configured_go_after_a_crash", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::new((Mainstay, &two()), (Mainstay, &Router::fast(90)))?;
    // An administrator's own, in the same network.
    stage.a.host().ip("addr add 192.168.1.55/24 dev eth0")?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let all = [
        "192.168.1.100/24",
        "192.168.1.101/24",
        "192.168.1.200/32",
        "192.168.1.55/24",
    ];
    assert_eq!(addresses(stage.a.host())?, all);

    stage.a.kill()?;
    assert_eq!(
        addresses(stage.a.host())?,
        all,
        "nobody is there to remove anything"
    );
    stage
        .a
        .configure(&mainstay::configuration(&Router::fast(100)))?;
    stage.a.start()?;
    wait::until_true(LONG, "the address that is not configured is gone", || {
        Ok(addresses(stage.a.host())?
            == ["192.168.1.100/24", "192.168.1.101/24", "192.168.1.55/24"])
    })
}

#[test]
fn those_no_longer_configured_go_on_reload() -> Result<()> {
    if lacking("those_no_longer_configured_go_on_reload", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::new((Mainstay, &two()), (Mainstay, &Router::fast(90)))?;
    stage.a.host().ip("addr add 192.168.1.55/24 dev eth0")?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    stage
        .a
        .configure(&mainstay::configuration(&Router::fast(100)))?;
    let output = stage.a.reload()?;
    assert!(output.status.success(), "{output:?}");
    wait::until_true(LONG, "the address that is not configured is gone", || {
        Ok(addresses(stage.a.host())?
            == ["192.168.1.100/24", "192.168.1.101/24", "192.168.1.55/24"])
    })?;
    assert_eq!(stage.a.router("VI_1")?["state"], "active");
    Ok(())
}

#[test]
fn release_removes_ours_and_nothing_else() -> Result<()> {
    if lacking("release_removes_ours_and_nothing_else", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::new((Mainstay, &two()), (Mainstay, &Router::fast(90)))?;
    stage.a.host().ip("addr add 192.168.1.55/24 dev eth0")?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    stage.a.kill()?;
    stage.a.release()?;
    assert_eq!(
        addresses(stage.a.host())?,
        ["192.168.1.101/24", "192.168.1.55/24"]
    );
    // And once more, when there is nothing to do.
    stage.a.release()?;
    assert_eq!(
        addresses(stage.a.host())?,
        ["192.168.1.101/24", "192.168.1.55/24"]
    );
    Ok(())
}

/// Somebody removes the address by hand: it comes back.
#[test]
fn one_that_is_taken_away_comes_back() -> Result<()> {
    if lacking("one_that_is_taken_away_comes_back", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.start()?;
    stage.a.host().ip("addr del 192.168.1.100/24 dev eth0")?;
    stage.until_only(Which::A, LONG)?;
    wait::until_true(SOON, "status says that it is held", || {
        Ok(stage.a.router("VI_1")?["holds-addresses"] == true)
    })?;
    assert!(!stage.b.holds(VIRTUAL)?);
    Ok(())
}

/// Added after the advertisement and before the gratuitous ARPs, and the ARPs tell where it is.
#[test]
fn advertised_added_announced_in_this_order() -> Result<()> {
    if lacking("advertised_added_announced_in_this_order", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let watch = mainstay_lab::watch::AddressWatch::on(stage.a.host())?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let seen = wait::until(SOON, "five gratuitous ARPs", || {
        let seen = stage.capture.seen();
        Ok((seen.gratuitous.len() >= 5).then_some(seen))
    })?;
    let advertised = seen.advertisements[0].at;
    let added = watch
        .of(VIRTUAL)
        .first()
        .map(|change| (change.at, change.added));
    let Some((added, true)) = added else {
        anyhow::bail!("not seen to be added: {added:?}");
    };
    assert!(
        advertised < added,
        "advertised {advertised:?}, added {added:?}"
    );
    assert!(seen.gratuitous[0].at > advertised);
    let mac = stage.a.host().mac()?;
    for gratuitous in &seen.gratuitous {
        assert_eq!(gratuitous.address, VIRTUAL);
        let hex: Vec<String> = gratuitous
            .mac
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex.join(":"), mac);
    }
    Ok(())
}
