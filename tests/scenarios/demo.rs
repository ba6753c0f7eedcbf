//! The demonstration, as somebody sees it who types `make demo`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result};
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::skip::{Need, skip};
use nix::unistd::geteuid;

use crate::setup::lacking_nginx;

const DEMO: &str = env!("CARGO_BIN_EXE_mainstay-demo");

/// User and group "nobody".
const NOBODY: u32 = 65534;

#[test]
fn shows_each_failover_in_order() -> Result<()> {
    if lacking_nginx("demo_shows_each_failover_in_order", &[Mainstay]) {
        return Ok(());
    }
    let output = Command::new(DEMO).output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut rest = said.as_str();
    for part in [
        "id = 51",
        "a is active",
        "answered by a",
        "nginx on a is stopped",
        "b is active",
        "answered by b",
        "the client",
        "nginx on a is started again",
        "answered by a",
        "Node a is killed",
        "b is active",
        "answered by b",
        "the client",
        "cleared up",
    ] {
        let (_, after) = rest
            .split_once(part)
            .with_context(|| format!("no further {part:?} in {said}"))?;
        rest = after;
    }
    Ok(())
}

#[test]
fn without_namespaces_it_says_what_to_type() -> Result<()> {
    if geteuid().is_root()
        && skip(
            "demo_without_namespaces_it_says_what_to_type",
            &[Need::Machine],
        )
    {
        return Ok(());
    }
    // Where nobody may get at it too.
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let demo = directory.path().join("mainstay-demo");
    fs::copy(DEMO, &demo)?;
    let mut command = Command::new(&demo);
    // Without unshare to be found no namespace is to be had.
    command.env("PATH", directory.path());
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output()?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(
        said.lines()
            .any(|line| line.trim().starts_with("sudo ")
                && line.ends_with(&demo.display().to_string())),
        "{said}"
    );
    Ok(())
}
