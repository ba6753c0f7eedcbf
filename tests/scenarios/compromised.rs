//! Native code in the worker's place: what somebody has who broke out of a plugin's sandbox, and out
//! of wasmtime.

use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Result, ensure};
use mainstay_lab::capture::longest_gap;
use mainstay_lab::compromised::Told;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::skip::{Need, skip, skip_because};
use mainstay_lab::wait;
use mainstay_lab::watch::AddressWatch;

use crate::setup::{LONG, Stage, lacking};

/// The program that attacks.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay-compromised");

/// An ordinary user, whose daemon has the two capabilities that it needs.
const USER: u32 = 4711;

/// A plugin that has to be compiled and loaded, with a check that owes nothing for an hour.
pub(crate) const PLUGIN: &str = "\n[[check]]\nname = \"any\"\nplugin = \"process\"\n\
    settings = { name = \"any\" }\ninterval = \"1h\"\n";

/// What a program that is compiled or run must not get to. There is more in its list; these are here
/// so that none of them is ever forgotten.
const NEVER: [&str; 24] = [
    "socket-netlink-route",
    "socket-packet-raw",
    "socket-vrrp",
    "socket-unix-stream",
    "socketpair",
    "kill",
    "tgkill",
    "pidfd-send-signal",
    "set-owner",
    "ptrace",
    "process-vm-readv",
    "read-daemon-mem",
    "read-daemon-environ",
    "read-configuration",
    "read-manifest",
    "read-cache-key",
    "read-control-socket",
    "write-cache",
    "fork",
    "execve",
    "mount",
    "bpf",
    "io-uring-setup",
    "memory-file",
];

/// That both the worker and the compiler have attacked, and got nothing.
///
/// # Errors
/// What they got.
pub(crate) fn ensure_refused(scenario: &str, log: &str) -> Result<()> {
    for by in ["compiler", "worker"] {
        let told = Told::of(log, by);
        if let Some(lacking) = told.lacking.first() {
            skip_because(scenario, lacking);
            return Ok(());
        }
        ensure!(told.succeeded.is_empty(), "the {by}: {told:#?}");
        for name in NEVER {
            ensure!(told.refused.contains_key(name), "{name}: {told:#?}");
        }
    }
    Ok(())
}

/// Waits until both have attacked.
pub(crate) fn until_over(log: impl Fn() -> Result<String>) -> Result<String> {
    wait::until(LONG, "all attacks were tried", || {
        let log = log()?;
        let over = ["compiler", "worker"].map(|by| Told::of(&log, by).over);
        Ok((over == [true, true]).then_some(log))
    })
}

/// Lets the attacker loose below a daemon that is started like this, and looks that nothing comes of
/// it: not for the attacker, and not for who relies on the address.
fn gets_nowhere(scenario: &str, before: &[&str], owner: Option<u32>) -> Result<()> {
    let stage = Stage::pair(Router::fast)?;
    let a = &stage.a;
    a.configure(&(mainstay::configuration(&Router::fast(100)) + PLUGIN))?;
    if let Some(owner) = owner {
        chown(a.host().files(), Some(owner), Some(owner))?;
        chown(a.configuration(), Some(owner), Some(owner))?;
    }
    let watch = AddressWatch::on(a.host())?;
    let daemon = mainstay::run_behind(a, before, Path::new(PROGRAM))?;
    let log = until_over(|| {
        if let Some(status) = daemon.ended()? {
            anyhow::bail!("the daemon ended: {status}: {}", daemon.log()?);
        }
        daemon.log()
    })?;
    ensure_refused(scenario, &log)?;
    wait::until_true(LONG, "a is active", || {
        Ok(a.router("VI_1")
            .is_ok_and(|router| router["state"] == "active"))
    })?;
    stage.capture.clear();
    wait::until_true(LONG, "a advertises", || {
        Ok(stage.capture.seen().advertisements.len() > 10)
    })?;
    let seen = stage.capture.seen();
    assert_eq!(seen.senders(), [a.host().address()].into());
    assert!(longest_gap(&seen.advertisements) < Router::fast(90).down_interval());
    assert!(watch.of(VIRTUAL).iter().all(|change| change.added));
    Ok(())
}

#[test]
fn t34_native_code_in_the_workers_place_gets_nowhere() -> Result<()> {
    const NAME: &str = "t34_native_code_in_the_workers_place_gets_nowhere";
    if lacking(NAME, &[Mainstay]) {
        return Ok(());
    }
    gets_nowhere(NAME, &[], None)
}

/// Where the worker is of the daemon's own user, who could do all of it.
#[test]
fn t34_native_code_of_the_daemons_user_gets_nowhere() -> Result<()> {
    const NAME: &str = "t34_native_code_of_the_daemons_user_gets_nowhere";
    if lacking(NAME, &[Mainstay]) || skip(NAME, &[Need::Machine, Need::Executable("setpriv")]) {
        return Ok(());
    }
    let user = format!("--reuid={USER}");
    let group = format!("--regid={USER}");
    let capabilities = "+net_admin,+net_raw";
    let before = [
        "setpriv",
        &user,
        &group,
        "--clear-groups",
        &format!("--inh-caps={capabilities}"),
        &format!("--ambient-caps={capabilities}"),
    ];
    gets_nowhere(NAME, &before, Some(USER))
}

/// The attacks are worth something: without the confinement nearly all of them get through, if only
/// to a complaint about their arguments.
#[test]
fn t34_the_attacks_succeed_without_the_confinement() -> Result<()> {
    const NAME: &str = "t34_the_attacks_succeed_without_the_confinement";
    if lacking(NAME, &[Mainstay]) {
        return Ok(());
    }
    let stage = Stage::pair(Router::fast)?;
    let files = stage.a.host().files();
    let log = files.join("unconfined");
    let attacker = stage
        .a
        .host()
        .command(PROGRAM)
        .arg("--unconfined")
        .spawn(&log)?;
    let status = attacker.wait(LONG)?;
    let told = Told::of(&attacker.log()?, "worker");
    ensure!(status.success() && told.over, "{status}: {told:#?}");
    for name in NEVER {
        ensure!(told.succeeded.contains_key(name), "{name}: {told:#?}");
    }
    // The machine may refuse some for its own reasons.
    ensure!(
        told.succeeded.len() > 20 * told.refused.len(),
        "{:?}",
        told.refused
    );
    Ok(())
}
