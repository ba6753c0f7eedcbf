//! A thread that does nothing but wake at each tick: what it is late by, anybody would have been.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::errno::Errno;
use nix::libc::SCHED_OTHER;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// A wake-up of the control.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wake {
    /// When it was due, since the Unix epoch.
    pub(crate) due: Duration,
    /// How much later it came.
    pub(crate) late: Duration,
}

/// The running thread.
pub(crate) struct Control {
    over: Arc<AtomicBool>,
    thread: JoinHandle<nix::Result<Vec<Wake>>>,
}

impl Control {
    /// Begins to wake at this interval, as the daemon's engine thread does: of the same policy and
    /// niceness.
    ///
    /// # Errors
    /// When that thread is scheduled otherwise than this process.
    pub(crate) fn beside(daemon: Pid, interval: Duration) -> Result<Self> {
        let (own, engine) = (scheduling("/proc/self/stat")?, of_engine(daemon)?);
        ensure!(
            own == engine && own.policy == SCHED_OTHER,
            "the control is scheduled otherwise than the engine: {own:?}, {engine:?}"
        );
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("control".to_owned()).spawn({
            let over = Arc::clone(&over);
            move || wakes(interval, &over)
        })?;
        Ok(Self { over, thread })
    }

    /// Its wake-ups so far; it ends.
    pub(crate) fn end(self) -> Result<Vec<Wake>> {
        self.over.store(true, Ordering::Relaxed);
        let wakes = self.thread.join();
        Ok(wakes.map_err(|_| anyhow!("the control panicked"))??)
    }
}

fn wakes(interval: Duration, over: &AtomicBool) -> nix::Result<Vec<Wake>> {
    let now = |clock| clock_gettime(clock).map(Duration::from);
    let mut wakes = Vec::new();
    let mut due = now(ClockId::CLOCK_MONOTONIC)?;
    while !over.load(Ordering::Relaxed) {
        due += interval;
        let until = TimeSpec::from(due);
        while let Err(error) = clock_nanosleep(
            ClockId::CLOCK_MONOTONIC,
            ClockNanosleepFlags::TIMER_ABSTIME,
            &until,
        ) {
            if error != Errno::EINTR {
                return Err(error);
            }
        }
        let late = now(ClockId::CLOCK_MONOTONIC)?.saturating_sub(due);
        let at = now(ClockId::CLOCK_REALTIME)?;
        wakes.push(Wake {
            due: at.saturating_sub(late),
            late,
        });
    }
    Ok(wakes)
}

/// What decides when a thread runs.
#[derive(Debug, Eq, PartialEq)]
struct Scheduling {
    nice: i32,
    policy: i32,
}

fn of_engine(daemon: Pid) -> Result<Scheduling> {
    for task in fs::read_dir(format!("/proc/{daemon}/task"))? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim_end() == "engine" {
            return scheduling(&task.join("stat").display().to_string());
        }
    }
    Err(anyhow!("the daemon has no engine thread"))
}

/// `nice` and `policy` of proc(5).
fn scheduling(stat: &str) -> Result<Scheduling> {
    let text = fs::read_to_string(stat)?;
    let (_, after_name) = text.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |index: usize| -> Result<i32> {
        let field = fields.get(index).context("a field is missing")?;
        Ok(field.parse()?)
    };
    Ok(Scheduling {
        nice: number(16)?,
        policy: number(38)?,
    })
}

/// Processor time that the hypervisor gave to others since the start of this machine, summed over
/// processors; zero on hardware.
pub(crate) fn stolen() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let of_all = stat.lines().next().context("no line of all processors")?;
    let steal = of_all.split_whitespace().nth(8).context("no steal time")?;
    let ticks: u64 = steal.parse()?;
    let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
    Ok(Duration::from_secs_f64(
        ticks as f64 / ticks_per_second as f64,
    ))
}
