//! A trivial check in Rust, a fresh instance each time: how long one takes, how many one processor
//! can do, and whether memory grows with their number.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mainstay_lab::lab::Lab;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router};
use mainstay_lab::process;
use mainstay_lab::wait;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::processor::MIB;
use crate::{load, processor, verdicts};

/// Checks of the node that is measured.
const CHECKS: u32 = 500;
/// With this interval one processor has 5,000 runs a second, which is what is asked of it.
const SUSTAINED_MS: u32 = 100;
const SUSTAINED: Duration = Duration::from_secs(20);
/// With this one ten million runs take nine minutes.
const QUICK_MS: u32 = 25;
const LONG: Duration = Duration::from_secs(60);
/// Runs before anything is measured.
const WARM: u64 = 50_000;

/// Measures all of it; memory over so many runs.
pub(crate) fn measure(count: u32) -> Result<()> {
    println!("a trivial check in Rust, a fresh instance for each run\n");
    verdicts::measure()?;
    sustain()?;
    grow(count)
}

/// A daemon with its worker, both warm.
struct Warm {
    node: Node,
    daemon: Pid,
    worker: Pid,
    /// Runs before it was looked at.
    before: u64,
    _lab: Lab,
}

impl Warm {
    /// Starts the daemon with checks of this interval, on one processor or on all.
    fn new(interval_ms: u32, pinned: bool) -> Result<Self> {
        let lab = Lab::new()?;
        let host = lab.host("bench", Ipv4Addr::new(192, 168, 1, 101))?;
        let mut node = Node::quiet(host, Mainstay, &Router::introduction(100))?;
        let mut text = mainstay::preamble();
        load::guest(&mut text, "trivial");
        let settings = "behaviour = \"behave\"";
        load::checks(&mut text, CHECKS, "trivial", settings, interval_ms);
        load::router(&mut text, 1000);
        node.configure(&text)?;
        node.start()?;
        wait::until_true(LONG, "every check runs", || {
            node.check_alive()?;
            Ok(load::runs(&node, "trivial").unwrap_or(0) >= u64::from(CHECKS))
        })?;
        let daemon = node.process()?.pid();
        let worker = processor::worker(daemon)?;
        if pinned {
            for pid in process::descendants(daemon)? {
                pin(pid)?;
            }
        }
        wait::until_true(LONG, "it is warm", || {
            Ok(load::runs(&node, "trivial")? >= WARM)
        })?;
        let before = load::runs(&node, "trivial")?;
        Ok(Self {
            node,
            daemon,
            worker,
            before,
            _lab: lab,
        })
    }

    /// Runs since it was warm.
    fn runs(&self) -> Result<u64> {
        Ok(load::runs(&self.node, "trivial")? - self.before)
    }
}

/// How much of one processor 5,000 runs a second take.
fn sustain() -> Result<()> {
    let warm = Warm::new(SUSTAINED_MS, true)?;
    let (begin, before) = (Instant::now(), processor::used(warm.daemon)?);
    let first = warm.runs()?;
    thread::sleep(SUSTAINED);
    let runs = (warm.runs()? - first) as f64;
    let elapsed = begin.elapsed().as_secs_f64();
    let used = processor::used(warm.daemon)?.saturating_sub(before);
    let used = used.as_secs_f64();
    println!(
        "on one processor: {:.0} runs a second of {} that were due, {:.0} % of it, {:.0} µs each",
        runs / elapsed,
        CHECKS * 1000 / SUSTAINED_MS,
        100.0 * used / elapsed,
        1e6 * used / runs,
    );
    Ok(())
}

/// What memory the two processes have while there are so many runs.
fn grow(count: u32) -> Result<()> {
    let warm = Warm::new(QUICK_MS, false)?;
    let begin = Instant::now();
    let mut samples = Vec::new();
    loop {
        thread::sleep(Duration::from_millis(500));
        let runs = warm.runs()?;
        let resident = [warm.daemon, warm.worker].map(process::resident);
        let [daemon, worker] = resident;
        samples.push((runs as f64, [daemon?, worker?]));
        if runs >= count.into() {
            break;
        }
        ensure!(begin.elapsed() < Duration::from_secs(7200), "too slow");
    }
    for (index, name) in ["daemon", "worker"].into_iter().enumerate() {
        let points: Vec<(f64, f64)> = samples
            .iter()
            .map(|(runs, resident)| (*runs, resident[index] as f64))
            .collect();
        let most = points.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max);
        println!(
            "{name} over {:.0} runs: {:.1} MiB at first, {:.1} MiB at most, {:+.3} bytes a run",
            points[points.len() - 1].0,
            points[0].1 / MIB,
            most / MIB,
            slope(&points),
        );
    }
    Ok(())
}

/// Keeps all threads of a process on the first processor.
fn pin(pid: Pid) -> Result<()> {
    let mut first = CpuSet::new();
    first.set(0)?;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let id: i32 = thread?.file_name().to_string_lossy().parse()?;
        // One that has ended meanwhile needs no processor.
        let _ = sched_setaffinity(Pid::from_raw(id), &first);
    }
    Ok(())
}

/// Of the line with the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let number = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if below == 0.0 { 0.0 } else { above / below }
}
