//! What is shown, in order.

use std::io::{self, IsTerminal};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mainstay_lab::lab::{Host, Lab};
use mainstay_lab::mainstay;
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::{Implementation, NginxCheck, Node, Router, VIRTUAL};
use mainstay_lab::probe::Prober;
use mainstay_lab::wait;
use serde_json::Value;

/// How long each step may take before something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

/// From one question of the client to the next.
const ASK: Duration = Duration::from_millis(10);

/// Plays it to the end.
pub(crate) fn tell() -> Result<()> {
    for file in [mainstay::executable(), mainstay::worker()] {
        ensure!(
            file.exists(),
            "{} is missing: run `make build` first",
            file.display()
        );
    }
    let mut stage = Stage::new()?;
    stage.say(&format!(
        "Nodes a (192.168.1.101) and b (192.168.1.102), a client, one Ethernet. nginx runs on both nodes.\n\
         The client asks http://{VIRTUAL}/ every {} ms. Node a's configuration:\n",
        ASK.as_millis()
    ));
    println!("{}", indented(&configuration(100)));
    let mut nginx = Some(Nginx::start(stage.nodes[0].host())?);
    let _other = Nginx::start(stage.nodes[1].host())?;
    for node in &mut stage.nodes {
        node.start()?;
    }
    stage.until_answered_by("a")?;

    stage.say("nginx on a is stopped.");
    let before = Instant::now();
    nginx.take().context("nginx was not started")?.stop()?;
    stage.until_answered_by("b")?;
    stage.tell_gap(before);

    stage.say("nginx on a is started again.");
    let before = Instant::now();
    let _nginx = Nginx::start(stage.nodes[0].host())?;
    stage.until_answered_by("a")?;
    stage.tell_gap(before);

    stage.say("Node a is killed: its daemon at once, and its cable is cut.");
    let before = Instant::now();
    stage.lab.pull_cable(stage.nodes[0].host())?;
    stage.nodes[0].kill()?;
    stage.until_answered_by("b")?;
    stage.tell_gap(before);

    stage.say("That was all. Everything is cleared up.");
    Ok(())
}

/// The configuration of the keepalived introduction, which moves at the first failed check.
fn configuration(priority: u8) -> String {
    let router = Router {
        nginx: Some(NginxCheck {
            interval: Duration::from_secs(2),
            weight: Some(-20),
            stale_after: None,
        }),
        ..Router::introduction(priority)
    };
    let text = mainstay::configuration(&router).replace(&mainstay::preamble(), "");
    text.replace(
        "interval = \"2000ms\"",
        "interval = \"2s\"\nrise = 1\nfall = 1",
    )
    .replace("\"1000ms\"", "\"1s\"")
}

fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect()
}

/// The hosts, and what has been told of them so far.
struct Stage {
    begin: Instant,
    nodes: [Node; 2],
    told: [Told; 2],
    client: Prober,
    _client: Host,
    lab: Lab,
}

impl Stage {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let client = lab.host("client", Ipv4Addr::new(192, 168, 1, 10))?;
        let node = |name, last, priority| {
            let host = lab.host(name, Ipv4Addr::new(192, 168, 1, last))?;
            let node = Node::quiet(
                host,
                Implementation::Mainstay,
                &Router::introduction(priority),
            )?;
            node.configure(&(mainstay::preamble() + &configuration(priority)))?;
            anyhow::Ok(node)
        };
        Ok(Self {
            begin: Instant::now(),
            nodes: [node("a", 101, 100)?, node("b", 102, 90)?],
            told: Default::default(),
            client: Prober::http(&client, VIRTUAL, ASK)?,
            _client: client,
            lab,
        })
    }

    /// Prints a line with the time since the beginning.
    fn say(&self, line: &str) {
        let bold = io::stdout().is_terminal();
        let (on, off) = if bold {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
        println!(
            "\n{on}{:5.1} s  {line}{off}",
            self.begin.elapsed().as_secs_f64()
        );
    }

    /// Tells what changes until the client is answered by this node.
    fn until_answered_by(&mut self, name: &str) -> Result<()> {
        let result = wait::until_true(LIMIT, &format!("{name} answers the client"), || {
            self.tell_changes()?;
            Ok(self.client.last_answer().as_deref() == Some(name))
        });
        if result.is_err() {
            for node in &self.nodes {
                eprintln!(
                    "--- {}:\n{}---",
                    node.host().name(),
                    node.log().unwrap_or_default()
                );
            }
        }
        result?;
        self.tell_changes()?;
        println!(
            "{:5.1} s  the client is answered by {name}",
            self.begin.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Prints each node's state and priority when they are other than last told.
    fn tell_changes(&mut self) -> Result<()> {
        for (node, told) in self.nodes.iter().zip(&mut self.told) {
            if node.process().is_err() {
                continue;
            }
            node.check_alive()?;
            // It may not have made its control socket yet.
            let (Ok(router), Ok(check)) = (node.router("VI_1"), node.check("nginx")) else {
                continue;
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let now = Told {
                state: text(&router["state"]),
                priority: router["priority"]["effective"].to_string(),
            };
            let line = if now.state != told.state {
                format!(
                    "is {}, priority {}: {}",
                    now.state,
                    now.priority,
                    text(&router["cause"])
                )
            } else if now.priority != told.priority {
                format!(
                    "has priority {}, check nginx: {}",
                    now.priority,
                    text(&check["message"])
                )
            } else {
                continue;
            };
            // Before its first decision there is nothing to tell.
            if now.state != "initialize" {
                println!(
                    "{:5.1} s  {} {line}",
                    self.begin.elapsed().as_secs_f64(),
                    node.host().name()
                );
            }
            *told = now;
        }
        Ok(())
    }

    /// Prints for how long the client had no answer.
    fn tell_gap(&self, before: Instant) {
        let gap = self.client.longest_gap_since(before);
        if gap.is_zero() {
            println!("         the client missed no answer");
        } else {
            println!(
                "         the client had no answer for {:.2} s",
                gap.as_secs_f64()
            );
        }
    }
}

/// What has been told of a node.
#[derive(Default)]
struct Told {
    state: String,
    priority: String,
}
