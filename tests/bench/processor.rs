//! Processor time that a daemon has used, with everything that it has started, and who that is.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::process;
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Bytes of a mebibyte.
pub(crate) const MIB: f64 = (1 << 20) as f64;

/// Of all processes below `pid` and of those that they have waited for.
///
/// # Errors
/// When the daemon has ended.
pub(crate) fn used(pid: Pid) -> Result<Duration> {
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    let mut ticks = 0;
    for pid in process::descendants(pid)? {
        // One that has ended meanwhile is in what its parent has waited for.
        ticks += of_one(pid).unwrap_or(0);
    }
    Ok(Duration::from_secs_f64(
        ticks as f64 / ticks_per_second as f64,
    ))
}

/// The worker of a daemon.
///
/// # Errors
/// When it has none now.
pub(crate) fn worker(daemon: Pid) -> Result<Pid> {
    let children = process::children(daemon)?;
    let worker = children.into_iter().find(|pid| {
        // The name is cut to what the kernel keeps.
        process::name(*pid).is_ok_and(|name| "mainstay-worker".starts_with(&name))
    });
    worker.context("the daemon has no worker")
}

/// utime, stime, cutime and cstime of proc(5).
fn of_one(pid: Pid) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields
        .get(11..15)?
        .iter()
        .map(|field| field.parse::<u64>().ok())
        .sum()
}
