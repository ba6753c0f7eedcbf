//! From a component's file to code that runs: compiled once, kept, and the same until a reload.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router};
use mainstay_lab::process;
use mainstay_lab::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::setup::{LONG, Stage, lacking};

/// A node with one check, of a plugin whose file is a copy that may be changed. On every host the
/// first process is a bash.
fn stage() -> Result<(Stage, PathBuf)> {
    let stage = Stage::pair(Router::fast)?;
    let file = stage.a.host().files().join("own.wasm");
    fs::copy(mainstay::plugins().join("process.wasm"), &file)?;
    stage.a.configure(&format!(
        "[[plugin]]\nname = \"own\"\nfile = {file:?}\npermissions.process = {{ names = [\"bash\"] }}\n\n\
         [[check]]\nname = \"own\"\nplugin = \"own\"\nsettings = {{ name = \"bash\" }}\ninterval = \"200ms\"\n"
    ))?;
    Ok((stage, file))
}

/// Waits until the check has been healthy `more` times since now.
fn until_healthy(node: &Node, more: u64) -> Result<()> {
    let runs = |node: &Node| -> Option<u64> { node.check("own").ok()?["runs"].as_u64() };
    let before = runs(node).unwrap_or(0);
    wait::until_true(LONG, "the check is healthy", || {
        let healthy = node
            .check("own")
            .is_ok_and(|check| check["status"] == "healthy");
        Ok(healthy && runs(node) >= Some(before + more))
    })
}

fn list(node: &Node) -> Result<String> {
    node.control("plugin").arg("list").text()
}

/// Not as the status says it: that one counts from the first process of the host.
fn worker_pid(node: &Node) -> Result<Option<Pid>> {
    let children = process::children(node.process()?.pid())?;
    let named = |pid: &Pid| process::name(*pid).is_ok_and(|name| name == "mainstay-worker");
    Ok(children.into_iter().find(named))
}

#[test]
fn t16_replaced_file_changes_nothing_until_a_reload() -> Result<()> {
    if lacking("replaced_file_changes_nothing_until_a_reload", &[Mainstay]) {
        return Ok(());
    }
    let (mut stage, file) = stage()?;
    stage.a.start()?;
    until_healthy(&stage.a, 1)?;
    let said = list(&stage.a)?;
    assert!(
        said.contains("running") && !said.contains("has changed"),
        "{said}"
    );

    // A hook in its place: what runs is what was loaded, after the worker's death too.
    fs::copy(mainstay::plugins().join("log.wasm"), &file)?;
    let said = list(&stage.a)?;
    assert!(said.contains("own: the file has changed"), "{said}");
    let before = worker_pid(&stage.a)?.context("no worker")?;
    kill(before, Signal::SIGKILL)?;
    wait::until_true(LONG, "there is another worker", || {
        Ok(worker_pid(&stage.a)?.is_some_and(|pid| pid != before))
    })?;
    until_healthy(&stage.a, 2)?;

    let refused = stage.a.reload()?;
    assert!(!refused.status.success(), "{refused:?}");
    let said = String::from_utf8(refused.stderr)?;
    assert!(said.contains("it is a hook"), "{said}");
    until_healthy(&stage.a, 2)?;

    fs::copy(mainstay::plugins().join("process.wasm"), &file)?;
    assert!(stage.a.reload()?.status.success());
    let said = list(&stage.a)?;
    assert!(!said.contains("has changed"), "{said}");
    Ok(())
}

#[test]
fn compiled_at_deploy_time_is_not_compiled_at_the_start() -> Result<()> {
    if lacking(
        "compiled_at_deploy_time_is_not_compiled_at_the_start",
        &[Mainstay],
    ) {
        return Ok(());
    }
    let (mut stage, _) = stage()?;
    let said = stage.a.compile()?;
    assert!(
        said.contains("own.wasm") && said.contains("compiled in"),
        "{said}"
    );
    let said = stage.a.compile()?;
    assert!(said.contains("compiled before"), "{said}");
    stage.a.start()?;
    until_healthy(&stage.a, 1)?;
    let log = stage.a.log()?;
    assert!(!log.contains("compiled"), "{log}");
    Ok(())
}

#[test]
fn t12_poisoned_cache_is_compiled_again_and_never_run() -> Result<()> {
    if lacking(
        "poisoned_cache_is_compiled_again_and_never_run",
        &[Mainstay],
    ) {
        return Ok(());
    }
    let (mut stage, _) = stage()?;
    stage.a.compile()?;
    let entries: Vec<_> =
        fs::read_dir(stage.a.host().files().join("cache"))?.collect::<std::io::Result<_>>()?;
    let [entry] = &entries[..] else {
        anyhow::bail!("{} entries", entries.len());
    };
    // The end of the file is code or data of it: one bit would run something else.
    let mut bytes = fs::read(entry.path())?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(entry.path(), &bytes)?;
    stage.a.start()?;
    until_healthy(&stage.a, 1)?;
    let log = stage.a.log()?;
    assert!(log.contains("is not what was put there"), "{log}");
    assert!(log.contains("compiled"), "{log}");
    // Mended by that.
    assert!(stage.a.compile()?.contains("compiled before"));
    Ok(())
}
