//! Whether advertisements are late while plugins take all the processor that they can get.

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

use crate::load;

/// The advertisement interval.
const INTERVAL: Duration = Duration::from_millis(100);
/// Plugins that never end by themselves.
const LOOPS: u32 = 4;
/// Checks, each once a second.
const CHECKS: u32 = 200;
const LONG: Duration = Duration::from_secs(60);

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
    thread::sleep(time);
    let seen = capture.seen();
    let runs = load::runs(&node, "trivial")? - before;
    anyhow::ensure!(compiler.ended()?.is_none(), "{}", compiler.log()?);
    compiler.kill_tree()?;

    let advertisements = seen.from(source);
    let mut late: Vec<Duration> = advertisements
        .windows(2)
        .map(|pair| {
            let gap = pair[1].at.saturating_sub(pair[0].at);
            gap.saturating_sub(INTERVAL)
        })
        .collect();
    late.sort();
    let over = |limit: u64| {
        late.iter()
            .filter(|late| **late > Duration::from_millis(limit))
            .count()
    };
    let at = |share| load::quantile(&late, share).context("no advertisement");
    println!(
        "{} advertisements; late by {:.2} ms (p99), {:.2} ms (p99.9), {:.2} ms (the latest)",
        advertisements.len(),
        at(0.99)?.as_secs_f64() * 1e3,
        at(0.999)?.as_secs_f64() * 1e3,
        at(1.0)?.as_secs_f64() * 1e3,
    );
    println!(
        "by more than 20 ms: {}; missing: {}; {:.0} % of the other checks' runs were done",
        over(20),
        over(100),
        100.0 * runs as f64 / (f64::from(CHECKS) * time.as_secs_f64()),
    );
    Ok(())
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
