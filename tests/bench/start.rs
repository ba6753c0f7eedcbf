//! From the start to the first verdict, and how much memory both processes take.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mainstay_lab::lab::Lab;
use mainstay_lab::mainstay;
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router};
use mainstay_lab::{process, wait};

use crate::processor::MIB;
use crate::{load, processor};

/// Starts that are timed.
const STARTS: usize = 11;
const LONG: Duration = Duration::from_secs(60);
/// How long the log is left alone between two looks.
const LOOK: Duration = Duration::from_micros(500);

/// Measures with the stock plugins: `process` and `tcp` as checks, `log` as a hook.
pub(crate) fn measure() -> Result<()> {
    let lab = Lab::new()?;
    let host = lab.host("bench", Ipv4Addr::new(192, 168, 1, 101))?;
    let _nginx = Nginx::start(&host)?;
    let mut node = Node::quiet(host, Mainstay, &Router::introduction(100))?;
    node.configure(&configuration(1))?;
    node.compile()?;
    let mut took = Vec::new();
    for _ in 0..STARTS {
        took.push(first_verdict(&mut node)?);
    }
    took.sort();
    println!(
        "from the start to the first verdict, stock plugins from the cache: \
         {} ms in the middle of {STARTS}, {} ms at most",
        took[STARTS / 2].as_millis(),
        took[STARTS - 1].as_millis(),
    );
    for checks in [1, 200] {
        node.configure(&configuration(checks))?;
        node.start()?;
        let wanted = u64::from(checks) * 5;
        wait::until_true(LONG, "each check has run five times", || {
            Ok(load::runs(&node, "process").unwrap_or(0) >= wanted)
        })?;
        let daemon = node.process()?.pid();
        let worker = processor::worker(daemon)?;
        println!(
            "resident with {} checks: daemon {:.1} MiB, worker {:.1} MiB",
            checks + 1,
            process::resident(daemon)? as f64 / MIB,
            process::resident(worker)? as f64 / MIB,
        );
        node.kill()?;
    }
    Ok(())
}

fn configuration(checks: u32) -> String {
    let mut text = mainstay::preamble();
    load::checks(&mut text, checks, "process", "name = \"nginx\"", 1000);
    load::checks(
        &mut text,
        1,
        "tcp",
        "address = \"127.0.0.1\", port = 80",
        1000,
    );
    text.push_str("[[hook]]\nplugin = \"log\"\n\n");
    load::router(&mut text, 1000);
    text
}

/// Until the daemon has said what it thinks of a verdict.
fn first_verdict(node: &mut Node) -> Result<Duration> {
    // A daemon that remembers a verdict has nothing to say when it is confirmed.
    let _ = fs::remove_file(node.host().files().join("run/resume"));
    let before = node.log().map_or(0, |log| log.len());
    let begin = Instant::now();
    node.start()?;
    let took = loop {
        let log = node.log()?;
        if log
            .get(before..)
            .is_some_and(|new| new.contains("in service: "))
        {
            break begin.elapsed();
        }
        ensure!(begin.elapsed() < LONG, "no verdict: {log}");
        thread::sleep(LOOK);
    };
    node.kill()?;
    Ok(took)
}
