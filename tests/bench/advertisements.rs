//! Whether advertisements are late while plugins take all the processor that they can get.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::capture::Capture;
use mainstay_lab::lab::Lab;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router};
use mainstay_lab::wait;

use crate::control::{self, Control, Wake};
use crate::load;

/// The advertisement interval.
const INTERVAL: Duration = Duration::from_millis(100);
/// Plugins that never end by themselves.
const LOOPS: u32 = 4;
/// Checks, each once a second.
const CHECKS: u32 = 200;
const LONG: Duration = Duration::from_secs(60);
/// What nobody is to be late by.
const LATE: Duration = Duration::from_millis(20);
/// The control's wake-ups that belong to an advertisement are not further from it.
const NEAR: Duration = Duration::from_millis(150);

/// Counts what is late for as long as this.
pub(crate) fn measure(time: Duration) -> Result<()> {
    println!(
        "{LOOPS} plugins that compute without end, a compilation and {CHECKS} checks a second, for {} s; \
         advertisements every {} ms",
        time.as_secs(),
        INTERVAL.as_millis()
    );
    let lab = Lab::new()?;
    let source = Ipv4Addr::new(192, 168, 1, 101);
    let host = lab.host("bench", source)?;
    let witness = lab.host("witness", Ipv4Addr::new(192, 168, 1, 102))?;
    let mut node = Node::quiet(host, Mainstay, &Router::fast(100))?;
    node.configure(&configuration())?;
    in_memory(&node)?;
    node.start()?;
    wait::until_true(LONG, "the node is active, and checks run", || {
        node.check_alive()?;
        Ok(node.holds(Ipv4Addr::new(192, 168, 1, 100))? && load::runs(&node, "trivial")? > 0)
    })?;
    let files = node.host().files();
    let compiling = format!(
        "while rm -rf {0}/other && '{1}' plugin compile --config '{2}' --state-dir={0}/other-state \
         --cache-dir={0}/other --worker='{3}'; do :; done",
        files.display(),
        mainstay::executable().display(),
        node.configuration().display(),
        mainstay::worker().display(),
    );
    let compiler = node
        .host()
        .command("sh")
        .args(["-c", &compiling])
        .spawn(&files.join("compiler"))?;

    let capture = Capture::on(&witness)?;
    let before = load::runs(&node, "trivial")?;
    let stolen_before = control::stolen()?;
    let control = Control::beside(node.process()?.pid(), INTERVAL)?;
    thread::sleep(time);
    let wakes = control.end()?;
    let stolen = control::stolen()?.saturating_sub(stolen_before);
    let seen = capture.seen();
    let runs = load::runs(&node, "trivial")? - before;
    anyhow::ensure!(compiler.ended()?.is_none(), "{}", compiler.log()?);
    compiler.kill_tree()?;

    let advertisements = seen.from(source);
    let late: Vec<(Duration, Duration)> = advertisements
        .windows(2)
        .map(|pair| {
            let gap = pair[1].at.saturating_sub(pair[0].at);
            (pair[1].at, gap.saturating_sub(INTERVAL))
        })
        .collect();
    let over = |limit| late.iter().filter(move |(_, late)| *late > limit);
    println!(
        "{} advertisements; late by {}",
        advertisements.len(),
        spread(late.iter().map(|(_, late)| *late))?
    );
    println!(
        "by more than {} ms: {}; missing: {}; {:.0} % of the other checks' runs were done",
        LATE.as_millis(),
        over(LATE).count(),
        over(INTERVAL).count(),
        100.0 * runs as f64 / (f64::from(CHECKS) * time.as_secs_f64()),
    );
    println!(
        "a thread beside the daemon that only sleeps, with the same interval and scheduling: late by {}; \
         the hypervisor took {:.2} s of the processors",
        spread(wakes.iter().map(|wake| wake.late))?,
        stolen.as_secs_f64(),
    );
    for (at, late) in over(LATE) {
        println!(
            "the advertisement {:.2} ms late: that thread was {} late within {} ms of it",
            late.as_secs_f64() * 1e3,
            near(&wakes, *at).map_or_else(
                || "not seen".to_owned(),
                |late| format!("{:.2} ms", late.as_secs_f64() * 1e3)
            ),
            NEAR.as_millis(),
        );
    }
    Ok(())
}

/// The runtime directory is on a tmpfs, as `/run` is: the engine writes there, and on a disk it would
/// wait for what the compilations write. The mount goes with the namespaces of the host.
fn in_memory(node: &Node) -> Result<()> {
    let directory = node.host().files().join("run");
    fs::create_dir(&directory)?;
    let mount = node.host().command("mount");
    let mount = mount.args(["-t", "tmpfs", "-o", "mode=700", "tmpfs"]);
    mount.args([directory.display().to_string()]).text()?;
    Ok(())
}

/// The latest of the wake-ups near a time.
fn near(wakes: &[Wake], at: Duration) -> Option<Duration> {
    let near = wakes.iter().filter(|wake| wake.due.abs_diff(at) <= NEAR);
    near.map(|wake| wake.late).max()
}

fn spread(late: impl Iterator<Item = Duration>) -> Result<String> {
    let mut sorted: Vec<Duration> = late.collect();
    sorted.sort();
    let at = |share| -> Result<f64> {
        let late = load::quantile(&sorted, share).context("nothing was seen")?;
        Ok(late.as_secs_f64() * 1e3)
    };
    Ok(format!(
        "{:.2} ms (p99), {:.2} ms (p99.9), {:.2} ms (the latest)",
        at(0.99)?,
        at(0.999)?,
        at(1.0)?
    ))
}

fn configuration() -> String {
    let mut text = mainstay::preamble();
    text = text.replacen(
        "[plugins]\n",
        &format!("[plugins]\nmax-concurrent-runs = {}\n", 2 * LOOPS),
        1,
    );
    for number in 0..LOOPS {
        let name = format!("loop-{number}");
        load::guest(&mut text, &name);
        load::checks(&mut text, 1, &name, "behaviour = \"loop\"", 1000);
    }
    load::guest(&mut text, "trivial");
    load::checks(&mut text, CHECKS, "trivial", "behaviour = \"behave\"", 1000);
    load::router(&mut text, 100);
    text
}
