//! The command line of a running node and of one that does not run.

use anyhow::{Context, Result};
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router};
use mainstay_lab::wait::SOON;

use crate::setup::{LONG, Stage, Which, lacking};

/// Exit status and everything said by a command about the plugin `process`.
fn plugin_run(node: &Node, options: &[&str]) -> Result<(Option<i32>, String)> {
    let output = mainstay::command(node, "plugin")
        .arg("run")
        .arg(mainstay::plugins().join("process.wasm"))
        .args(["--settings", r#"{"name":"bash"}"#])
        .args(options)
        .arg(format!("--worker={}", mainstay::worker().display()))
        .output()?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((output.status.code(), said))
}

/// On every host the first process is a bash.
#[test]
fn plugin_run_says_what_would_grant_a_denied_call() -> Result<()> {
    if lacking(
        "plugin_run_says_what_would_grant_a_denied_call",
        &[Mainstay],
    ) {
        return Ok(());
    }
    let stage = Stage::pair(Router::fast)?;
    let (code, said) = plugin_run(&stage.a, &[])?;
    assert_eq!(
        code,
        Some(3),
        "a run that is not permitted decides nothing: {said}"
    );
    let line = said
        .lines()
        .find_map(|line| line.split_once("would grant it: "))
        .map(|(_, line)| line.to_owned())
        .with_context(|| said.clone())?;

    // The line does what it says, in a configuration too.
    let (code, said) = plugin_run(&stage.a, &["--grant", "process=bash"])?;
    assert_eq!(code, Some(0), "{said}");
    for part in ["healthy", "time", "memory"] {
        assert!(said.contains(part), "nothing of {part} in {said}");
    }
    let file = mainstay::plugins().join("process.wasm");
    stage.a.configure(&format!(
        "{}[[plugin]]\nname = \"own\"\nfile = {file:?}\n{line}\n\n[[check]]\nname = \"own\"\nplugin = \"own\"\nsettings = {{ name = \"bash\" }}\n",
        mainstay::preamble()
    ))?;
    let output = stage.a.validate()?;
    assert!(output.status.success(), "{line}: {output:?}");
    Ok(())
}

#[test]
fn plugin_inspect_tells_what_a_plugin_is() -> Result<()> {
    if lacking("plugin_inspect_tells_what_a_plugin_is", &[Mainstay]) {
        return Ok(());
    }
    let stage = Stage::pair(Router::fast)?;
    let said = mainstay::command(&stage.a, "plugin")
        .arg("inspect")
        .arg(mainstay::plugins().join("process.wasm"))
        .arg(format!("--worker={}", mainstay::worker().display()))
        .text()?;
    for part in ["check", "mainstay:plugin/process@", "sha256", "\"min\""] {
        assert!(said.contains(part), "nothing of {part} in {said}");
    }
    Ok(())
}

#[test]
fn one_daemon_for_a_runtime_directory() -> Result<()> {
    if lacking("one_daemon_for_a_runtime_directory", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let output = stage.a.control("status").output()?;
    assert_eq!(
        output.status.code(),
        Some(69),
        "nobody is there: {output:?}"
    );
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let (code, said) = stage.a.run_to_its_end()?;
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains("another daemon"), "{said}");
    // The first one has noticed nothing.
    stage.until_only(Which::A, SOON)?;
    assert_eq!(stage.a.router("VI_1")?["state"], "active");
    // Nor may anybody take the addresses from under a daemon that runs.
    assert!(stage.a.release().is_err());
    stage.until_only(Which::A, SOON)
}

#[test]
fn explain_tells_the_chain_of_causes() -> Result<()> {
    if lacking("explain_tells_the_chain_of_causes", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.start()?;
    stage.b.until_state(LONG, "backup")?;
    stage.lab.pull_cable(stage.a.host())?;
    stage.b.until_state(LONG, "active")?;
    let said = stage.b.control("explain").arg("VI_1").text()?;
    for part in ["active", "192.168.1.101", "priority 100", "down interval"] {
        assert!(said.contains(part), "nothing of {part} in {said}");
    }
    let said = stage.b.control("status").text()?;
    for part in ["VI_1", "active", "192.168.1.100"] {
        assert!(said.contains(part), "nothing of {part} in {said}");
    }
    Ok(())
}
