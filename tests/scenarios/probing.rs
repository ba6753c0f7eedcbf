//! What the daemon does for probes: echoes, sockets with a source address or a mark.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context, Result};
use mainstay_lab::lab::{Host, Lab};
use mainstay_lab::mainstay;
use mainstay_lab::node::{Implementation::Mainstay, Router};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::wait;
use serde_json::{Value, json};

use crate::setup::{LONG, Stage, lacking};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 101);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
/// On the other host's loopback: only a route leads there.
const BEYOND: &str = "10.7.7.7";
const PORT: u16 = 7000;

fn lacking_prober(scenario: &str) -> bool {
    skip(
        scenario,
        &[
            Need::Root,
            Need::File(mainstay::prober()),
            Need::File(mainstay::executable()),
            Need::File(mainstay::worker()),
        ],
    )
}

/// Two hosts: one that probes, and one that says hello to whoever connects, and tells from where.
struct Pair {
    _lab: Lab,
    here: Host,
    callers: Receiver<SocketAddr>,
    there: Host,
}

impl Pair {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let (here, there) = (lab.host("here", HERE)?, lab.host("there", THERE)?);
        there.ip(&format!("addr add {BEYOND}/32 dev lo"))?;
        for (host, address) in [(&here, "2001:db8::1/64"), (&there, "2001:db8::2/64")] {
            host.ip(&format!("addr add {address} dev eth0 nodad"))?;
        }
        let listener = there.enter(|| Ok(TcpListener::bind(("0.0.0.0", PORT))?))?;
        let (told, callers) = channel();
        thread::spawn(move || {
            while let Ok((mut stream, caller)) = listener.accept() {
                let _ = stream.write_all(b"hello");
                if told.send(caller).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            _lab: lab,
            here,
            callers,
            there,
        })
    }

    /// What comes of these calls in one run.
    fn outcomes(&self, calls: &Value, grants: &[&str]) -> Result<Vec<Value>> {
        let mut command = self.here.command(mainstay::executable());
        command = command.args(["plugin", "run", "--json", "--timeout", "20s"]);
        command = command.arg(mainstay::prober());
        command = command.arg(format!("--worker={}", mainstay::worker().display()));
        command = command.args(["--settings", &json!({ "calls": calls }).to_string()]);
        for grant in grants {
            command = command.args(["--grant", *grant]);
        }
        let text = command.text()?;
        let report: Value = serde_json::from_str(&text).context(text)?;
        let lines = report["log"].as_array().context("no log")?.iter();
        let parse = |line: &Value| Ok(serde_json::from_str(line[1].as_str().unwrap_or_default())?);
        lines.map(parse).collect()
    }
}

#[test]
fn echoes_of_both_families_are_answered_and_what_is_not_there_is_unreachable() -> Result<()> {
    if lacking_prober("echoes_of_both_families_are_answered_and_what_is_not_there_is_unreachable") {
        return Ok(());
    }
    let pair = Pair::new()?;
    let calls = json!([
        { "icmp-echo": { "to": THERE.to_string() } },
        { "icmp-echo": { "to": "2001:db8::2" } },
        { "icmp-echo": { "to": "192.168.1.99", "timeout": 10_000 } },
        { "icmp-echo": { "to": "10.9.9.9" } },
    ]);
    let grants = [
        "probe.icmp=true",
        "probe.addresses=192.168.1.0/24",
        "probe.addresses=2001:db8::/64",
    ];
    // Neither kind of socket is left out: the range says who may use those for ping.
    for range in ["1 0", "0 2147483647"] {
        pair.here
            .enter_network(|| Ok(fs::write("/proc/sys/net/ipv4/ping_group_range", range)?))?;
        let outcomes = pair.outcomes(&calls, &grants)?;
        for answered in &outcomes[..2] {
            assert!(answered["ok"].as_u64() > Some(0), "{outcomes:?}");
        }
        assert_eq!(outcomes[2]["error"], "unreachable");
        assert_eq!(outcomes[3]["error"], "not-permitted");
    }
    Ok(())
}

#[test]
fn a_datagram_to_a_host_that_is_not_there_is_unreachable() -> Result<()> {
    if lacking_prober("a_datagram_to_a_host_that_is_not_there_is_unreachable") {
        return Ok(());
    }
    let pair = Pair::new()?;
    let calls = json!([
        { "udp-exchange": { "to": "192.168.1.99:7001", "timeout": 15_000 } },
        { "udp-exchange": { "to": "[2001:db8::99]:7001", "timeout": 15_000 } },
        // Its socket comes from the daemon.
        { "udp-exchange": { "to": "192.168.1.98:7001", "source": HERE.to_string(), "timeout": 15_000 } },
    ]);
    let grants = [
        "probe.addresses=192.168.1.0/24",
        "probe.addresses=2001:db8::/64",
        "probe.ports=7001",
        "probe.sources=192.168.1.101",
    ];
    let mut outcomes = Vec::new();
    for call in calls.as_array().into_iter().flatten() {
        outcomes.extend(pair.outcomes(&json!([call]), &grants)?);
    }
    for outcome in &outcomes {
        assert_eq!(outcome["error"], "unreachable", "{outcomes:?}");
    }
    Ok(())
}

/// Threat 21: what a check may look at does not depend on which node has the virtual address.
#[test]
fn t21_a_granted_network_opens_an_address_whichever_node_has_it() -> Result<()> {
    if lacking_prober("t21_a_granted_network_opens_an_address_whichever_node_has_it") {
        return Ok(());
    }
    const VIRTUAL: &str = "192.168.1.100";
    let pair = Pair::new()?;
    let _listener = pair
        .here
        .enter(|| Ok(TcpListener::bind(("0.0.0.0", PORT))?))?;
    let calls = json!([
        { "tcp-connect": { "to": format!("{VIRTUAL}:{PORT}") } },
        { "tcp-connect": { "to": format!("127.0.0.1:{PORT}") } },
        { "icmp-echo": { "to": VIRTUAL } },
    ]);
    let grants = [
        "probe.addresses=192.168.1.0/24",
        "probe.addresses=0.0.0.0/0",
        "probe.ports=7000",
        "probe.icmp=true",
    ];
    let host_prefix = format!("{VIRTUAL}/32 dev eth0");
    for holder in [&pair.there, &pair.here] {
        holder.ip(&format!("addr add {host_prefix}"))?;
        let outcomes = pair.outcomes(&calls, &grants)?;
        assert!(outcomes[0]["ok"].is_u64(), "{outcomes:?}");
        assert_eq!(outcomes[1]["error"], "not-permitted");
        assert!(outcomes[2]["ok"].is_u64(), "{outcomes:?}");
        holder.ip(&format!("addr del {host_prefix}"))?;
    }
    Ok(())
}

#[test]
fn a_mark_leads_where_only_its_routes_lead() -> Result<()> {
    if lacking_prober("a_mark_leads_where_only_its_routes_lead") {
        return Ok(());
    }
    let pair = Pair::new()?;
    pair.here.ip(&format!("route add unreachable {BEYOND}"))?;
    pair.here
        .ip(&format!("route add {BEYOND} via {THERE} table 77"))?;
    pair.here.ip("rule add fwmark 7 table 77 priority 100")?;
    let to = format!("{BEYOND}:{PORT}");
    let unmarked = json!([
        { "tcp-connect": { "to": to } },
        { "icmp-echo": { "to": BEYOND } },
        { "udp-exchange": { "to": format!("{BEYOND}:{}", PORT + 1) } },
    ]);
    let mut marked = unmarked.clone();
    for call in marked.as_array_mut().into_iter().flatten() {
        for with in call
            .as_object_mut()
            .into_iter()
            .flat_map(|call| call.values_mut())
        {
            with["fwmark"] = json!(7);
        }
    }
    let grants = [
        "probe=10.7.7.7:7000",
        "probe.ports=7001",
        "probe.icmp=true",
        "probe.fwmarks=7",
    ];
    for outcome in pair.outcomes(&unmarked, &grants)? {
        assert_eq!(outcome["error"], "unreachable");
    }
    let outcomes = pair.outcomes(&marked, &grants)?;
    assert!(outcomes[0]["ok"].is_u64(), "{outcomes:?}");
    assert!(outcomes[1]["ok"].is_u64(), "{outcomes:?}");
    // Nobody listens there, but the host is reached.
    assert_eq!(outcomes[2]["error"], "refused");
    for outcome in pair.outcomes(&marked, &grants[..3])? {
        assert_eq!(outcome["error"], "not-permitted");
    }
    Ok(())
}

#[test]
fn a_probe_comes_from_the_source_that_it_chose() -> Result<()> {
    if lacking_prober("a_probe_comes_from_the_source_that_it_chose") {
        return Ok(());
    }
    let pair = Pair::new()?;
    pair.here.ip("addr add 192.168.1.111/24 dev eth0")?;
    // As on many routers, which would make any address a source.
    pair.here
        .enter_network(|| Ok(fs::write("/proc/sys/net/ipv4/ip_nonlocal_bind", "1")?))?;
    let to = format!("{THERE}:{PORT}");
    let calls = json!([
        { "tcp-exchange": { "to": to, "source": "192.168.1.111", "max": 5 } },
        { "icmp-echo": { "to": THERE.to_string(), "source": "192.168.1.111" } },
        { "tcp-connect": { "to": to, "source": "192.168.1.200" } },
        { "icmp-echo": { "to": THERE.to_string(), "source": "192.168.1.200" } },
    ]);
    let grants = [
        "probe=192.168.1.10:7000",
        "probe.icmp=true",
        "probe.sources=192.168.1.111",
        "probe.sources=192.168.1.200",
    ];
    let outcomes = pair.outcomes(&calls, &grants)?;
    assert_eq!(outcomes[0]["ok"]["start"], "hello", "{outcomes:?}");
    assert_eq!(
        pair.callers.recv_timeout(LONG)?.ip(),
        Ipv4Addr::new(192, 168, 1, 111)
    );
    assert!(outcomes[1]["ok"].is_u64(), "{outcomes:?}");
    for elsewhere in &outcomes[2..] {
        let text = elsewhere["text"].as_str().unwrap_or_default();
        assert!(text.contains("no address of this machine"), "{outcomes:?}");
    }
    Ok(())
}

#[test]
fn a_daemon_at_work_answers_its_checks() -> Result<()> {
    let scenario = "a_daemon_at_work_answers_its_checks";
    if lacking(scenario, &[Mainstay]) || skip(scenario, &[Need::File(mainstay::prober())]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let file = mainstay::prober();
    let echo = format!(
        "\n[[plugin]]\nname = \"prober\"\nfile = {file:?}\n\
         permissions.probe = {{ addresses = [\"{THERE}\"], icmp = true }}\n\n\
         [[check]]\nname = \"echo\"\nplugin = \"prober\"\ninterval = \"300ms\"\n\
         settings = {{ calls = [{{ icmp-echo = {{ to = \"{THERE}\" }} }}] }}\n"
    );
    stage
        .a
        .configure(&(mainstay::configuration(&Router::fast(100)) + &echo))?;
    stage.start()?;
    wait::until_true(LONG, "echoes are answered", || {
        let log = stage.a.log()?;
        anyhow::ensure!(!log.contains("\"error\\\""), "{log}");
        Ok(log.matches("{\"ok\":").count() > 3)
    })?;
    stage.a.check_alive()
}
