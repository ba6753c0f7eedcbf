//! What a check costs: "is nginx running" as a plugin, and as keepalived's script with `pgrep`.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mainstay_lab::lab::{Host, INTERFACE, Lab};
use mainstay_lab::mainstay;
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::Implementation::{self, Keepalived, Mainstay};
use mainstay_lab::node::{Node, Router};
use mainstay_lab::process::Process;
use mainstay_lab::wait;

use crate::processor;

/// Checks, each once a second.
const CHECKS: u32 = 200;
/// Other processes on each host.
const CROWDS: [u32; 2] = [80, 2000];
/// Until everything runs.
const LONG: Duration = Duration::from_secs(60);

/// Measures both, on few and on many processes, each for as long as this, and prints a table.
pub(crate) fn compare(window: Duration) -> Result<()> {
    println!(
        "{CHECKS} checks \"is nginx running\", each once a second, for {} s a line;\n\
         processor time of the daemon and all that it starts\n",
        window.as_secs()
    );
    println!("processes  daemon      per check  of a core  done");
    for crowd in CROWDS {
        let ours = measure(Mainstay, crowd, window)?;
        let theirs = measure(Keepalived, crowd, window)?;
        println!("{crowd:9}  ratio       1/{:.0}\n", theirs / ours);
    }
    Ok(())
}

/// Seconds of processor time per check.
fn measure(implementation: Implementation, crowd: u32, window: Duration) -> Result<f64> {
    let lab = Lab::new()?;
    let host = lab.host("bench", Ipv4Addr::new(192, 168, 1, 101))?;
    let _nginx = Nginx::start(&host)?;
    let _crowd = start_crowd(&host, crowd)?;
    let mut node = Node::quiet(host, implementation, &Router::introduction(100))?;
    node.configure(&match implementation {
        Mainstay => ours(),
        Keepalived => theirs(),
    })?;
    node.start()?;
    settle(&node)?;

    let pid = node.process()?.pid();
    let (begin, before) = (Instant::now(), processor::used(pid)?);
    let runs_before = runs(&node)?;
    thread::sleep(window);
    let used = processor::used(pid)?.saturating_sub(before).as_secs_f64();
    let elapsed = begin.elapsed().as_secs_f64();
    let wanted = elapsed * f64::from(CHECKS);
    let done = match implementation {
        Mainstay => runs(&node)? - runs_before,
        // It says how often it did not run a script.
        Keepalived => wanted - (runs(&node)? - runs_before),
    };
    let cost = used / done;
    println!(
        "{crowd:9}  {:10}  {:6.0} µs  {:6.2} %  {:5.1} %",
        implementation.to_string(),
        cost * 1e6,
        100.0 * used / elapsed,
        100.0 * done / wanted,
    );
    Ok(cost)
}

fn ours() -> String {
    let mut text = mainstay::preamble();
    for number in 0..CHECKS {
        let _ = write!(
            text,
            "[[check]]\nname = \"nginx-{number}\"\nplugin = \"process\"\nsettings = {{ name = \"nginx\" }}\n\
             interval = \"1s\"\n\n"
        );
    }
    let names: Vec<String> = (0..CHECKS)
        .map(|number| format!("{{ check = \"nginx-{number}\", weight = 1 }}"))
        .collect();
    let _ = write!(
        text,
        "[[router]]\nname = \"VI_1\"\ninterface = \"{INTERFACE}\"\nid = 51\npriority = 10\n\
         addresses = [\"192.168.1.100/24\"]\ntrack = [{}]\n",
        names.join(", ")
    );
    text
}

fn theirs() -> String {
    let mut text =
        "global_defs {\n router_id bench\n script_user root\n enable_script_security\n}\n"
            .to_owned();
    for number in 0..CHECKS {
        let _ = write!(
            text,
            "vrrp_script nginx-{number} {{\n script \"/usr/bin/pgrep nginx\"\n interval 1\n weight 1\n}}\n"
        );
    }
    let _ = write!(
        text,
        "vrrp_instance VI_1 {{\n state BACKUP\n interface {INTERFACE}\n virtual_router_id 51\n priority 10\n \
         advert_int 1\n virtual_ipaddress {{\n  192.168.1.100/24\n }}\n track_script {{\n"
    );
    for number in 0..CHECKS {
        let _ = writeln!(text, "  nginx-{number}");
    }
    text + " }\n}\n"
}

fn start_crowd(host: &Host, number: u32) -> Result<Process> {
    let script = format!("for i in $(seq {number}); do sleep 1d & done; wait");
    let crowd = host
        .command("sh")
        .args(["-c", &script])
        .spawn(&host.files().join("crowd"))?;
    let all = usize::try_from(number)?;
    wait::until_true(LONG, "the crowd is there", || {
        Ok(mainstay_lab::process::children(crowd.pid())?.len() >= all)
    })?;
    Ok(crowd)
}

/// Waits until every check has run and the node is active.
fn settle(node: &Node) -> Result<()> {
    wait::until_true(LONG, "the node is active", || {
        node.host().holds(Ipv4Addr::new(192, 168, 1, 100))
    })?;
    if node.implementation() == Mainstay {
        let wanted = f64::from(CHECKS);
        wait::until_true(LONG, "every check runs", || Ok(runs(node)? >= wanted))?;
    }
    Ok(())
}

/// Runs of all checks so far; for keepalived, those that it left out because the one before went on.
fn runs(node: &Node) -> Result<f64> {
    let count = match node.implementation() {
        Mainstay => {
            let status = node.status()?;
            let checks = status["checks"].as_array().context("no checks")?;
            let runs = checks.iter().filter_map(|check| check["runs"].as_u64());
            runs.sum()
        }
        Keepalived => u64::try_from(node.log()?.matches("skipping run").count())?,
    };
    Ok(count as f64)
}
