//! How long one run takes by itself, until its verdict is where it counts.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use mainstay_lab::lab::Lab;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router};
use mainstay_lab::wait;
use mainstay_protocol::{FromWorker, Outcome, ToWorker};
use mainstay_worker_tests::harness::Setup;
use serde_json::json;

use crate::load;

/// Runs of each kind.
const TIMED: usize = 2000;
/// How often a check runs on schedule.
const INTERVAL_MS: u32 = 10;
const LONG: Duration = Duration::from_secs(60);
const DAY_US: u128 = 86_400_000_000;

/// Times runs on schedule, which tell when they began, and runs on order.
pub(crate) fn measure() -> Result<()> {
    let component = fs::read(mainstay::misbehaving())?;
    let check = Setup::with_check(&component);
    let Scheduled {
        late,
        inside,
        arrived,
    } = scheduled(&check)?;
    print("on schedule, from the tick to making the run", &late);
    print("on schedule, from making the run to its end", &inside);
    print(
        "the same, to its verdict read at the daemon's end",
        &arrived,
    );
    ensure!(
        arrived.middle >= inside.middle,
        "a guest's clock does not begin with its run"
    );
    print(
        "the same, through the daemon's engine to its log",
        &logged()?,
    );
    let (inside, arrived) = ordered(&check)?;
    print("on order, from making the run to its end", &inside);
    print(
        "the same, from sending the order to the verdict read",
        &arrived,
    );
    Ok(())
}

/// Microseconds.
struct Took {
    middle: u128,
    p99: u128,
}

impl Took {
    fn of(mut all: Vec<u128>) -> Result<Self> {
        all.sort();
        let quantile = |share| load::quantile(&all, share).context("no run");
        Ok(Self {
            middle: quantile(0.5)?,
            p99: quantile(0.99)?,
        })
    }
}

fn print(what: &str, took: &Took) {
    println!("{what}: p50 {} µs, p99 {} µs", took.middle, took.p99);
}

/// Runs on schedule.
struct Scheduled {
    /// From the tick to when the guest says that its run began. The first tick is the start of the
    /// schedule, and the run that it begins waits for no timer.
    late: Took,
    /// What the worker says of the run.
    inside: Took,
    /// From the begin until the verdict has come over the socket and is decoded.
    arrived: Took,
}

fn scheduled(check: &Setup) -> Result<Scheduled> {
    let mut worker = check
        .clone()
        .settings(json!({ "behaviour": "tell-begin" }))
        .timing(INTERVAL_MS.into(), 1_000)
        .loaded();
    worker.send(&ToWorker::Start);
    let (mut begins, mut inside, mut arrived) = (Vec::new(), Vec::new(), Vec::new());
    while arrived.len() < TIMED {
        let FromWorker::Verdict {
            outcome, took_us, ..
        } = worker.frame()
        else {
            continue;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        let Outcome::Report(report) = outcome else {
            bail!("no report: {outcome:?}");
        };
        let began: u128 = report.message.parse()?;
        begins.push(began);
        inside.push(took_us.into());
        arrived.push(now.saturating_sub(began));
    }
    let first = *begins.first().context("no run")?;
    let interval = u128::from(INTERVAL_MS) * 1000;
    // A little before the tick is none: the first run as well is made a little after its own.
    let late = begins.iter().map(|began| {
        let passed = began.saturating_sub(first) + interval / 2;
        (passed % interval).saturating_sub(interval / 2)
    });
    Ok(Scheduled {
        late: Took::of(late.collect())?,
        inside: Took::of(inside)?,
        arrived: Took::of(arrived)?,
    })
}

/// Each run changes what the check stands for, and a line of the log says so: its time is taken on
/// the thread that the engine wakes for it.
fn logged() -> Result<Took> {
    let lab = Lab::new()?;
    let host = lab.host("bench", Ipv4Addr::new(192, 168, 1, 101))?;
    let mut node = Node::quiet(host, Mainstay, &Router::introduction(100))?;
    let mut text = mainstay::preamble();
    load::guest(&mut text, "trivial");
    let _ = write!(
        text,
        "[[check]]\nname = \"trivial\"\nplugin = \"trivial\"\nsettings = {{ behaviour = \"tell-begin\" }}\n\
         interval = \"{INTERVAL_MS}ms\"\nrise = 1\nfall = 1\n\n"
    );
    load::router(&mut text, 1000);
    node.configure(&text)?;
    node.start()?;
    thread::sleep(Duration::from_millis(INTERVAL_MS.into()) * u32::try_from(TIMED)?);
    let mut took = Vec::new();
    wait::until_true(LONG, "the log has all runs", || {
        node.check_alive()?;
        took = node.log()?.lines().filter_map(of_line).collect();
        Ok(took.len() >= TIMED)
    })?;
    Took::of(took)
}

/// From the begin of a run that a line of the log tells of to the time of the line.
fn of_line(line: &str) -> Option<u128> {
    let (_, began) = line.rsplit_once(" service: ")?;
    let began: u128 = began.trim().parse().ok()?;
    let (_, time) = line.split_once('T')?;
    let (time, _) = time.split_once('Z')?;
    let mut day = 0.0;
    for part in time.split(':') {
        day = day * 60.0 + part.parse::<f64>().ok()?;
    }
    // Both in UTC, whose days all have the same length here.
    let logged = (day * 1e6).round() as u128;
    Some((logged + DAY_US - began % DAY_US) % DAY_US)
}

/// What the worker says of a run that follows the one before at once, and from the order for it, which
/// passes from thread to thread as well, until its verdict has come.
fn ordered(check: &Setup) -> Result<(Took, Took)> {
    let mut worker = check
        .clone()
        .settings(json!({ "behaviour": "behave" }))
        .timing(60_000, 1_000)
        .loaded();
    let (mut inside, mut arrived) = (Vec::new(), Vec::new());
    for _ in 0..TIMED {
        let begin = Instant::now();
        inside.push(worker.run("c").took_us.into());
        arrived.push(begin.elapsed().as_micros());
    }
    Ok((Took::of(inside)?, Took::of(arrived)?))
}
