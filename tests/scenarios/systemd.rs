//! What the units promise, under a real systemd, with Mainstay installed by `make install`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::capture::{Capture, longest_gap};
use mainstay_lab::lab::{Host, Lab};
use mainstay_lab::mainstay;
use mainstay_lab::node::{Implementation, Node, Router, VIRTUAL};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::stall::Stalled;
use mainstay_lab::systemd::System;
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;
use mainstay_worker_tests::guest;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::compromised;
use crate::setup::LONG;

const UNIT: &str = "mainstay.service";
const FILE: &str = "/etc/mainstay/mainstay.toml";

/// Every unit that is installed.
const UNITS: [&str; 5] = [
    "/usr/lib/systemd/system/mainstay.service",
    "/usr/lib/systemd/system/mainstay-release.service",
    "/usr/lib/systemd/system/mainstay-stopped.target",
    "/usr/lib/systemd/system/mainstay-worker.socket",
    "/usr/lib/systemd/system/mainstay-worker@.service",
];

fn lacking(scenario: &str) -> bool {
    skip(
        scenario,
        &[
            Need::Machine,
            Need::Executable("ip"),
            Need::Executable("systemd-nspawn"),
            Need::Executable("make"),
            Need::File(mainstay::executable()),
            Need::File(mainstay::worker()),
        ],
    )
}

/// Node a with systemd, and a client that watches.
struct Booted {
    system: System,
    host: Host,
    capture: Capture,
    _client: Host,
    lab: Lab,
}

impl Booted {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let client = lab.host("client", Ipv4Addr::new(192, 168, 1, 10))?;
        let host = lab.host("a", Ipv4Addr::new(192, 168, 1, 101))?;
        let capture = Capture::on(&client)?;
        let system = System::boot(&host)?;
        Ok(Self {
            system,
            host,
            capture,
            _client: client,
            lab,
        })
    }

    /// Installs a configuration as an administrator does, and starts the unit.
    fn start(&self, configuration: &str) -> Result<()> {
        self.configure(configuration)?;
        self.system
            .text(&["systemctl", "start", "mainstay-worker.socket", UNIT])
            .with_context(|| self.journal())?;
        Ok(())
    }

    fn configure(&self, configuration: &str) -> Result<()> {
        self.system.write(FILE, configuration)?;
        self.system.text(&[
            "systemd-tmpfiles",
            "--create",
            "/usr/lib/tmpfiles.d/mainstay.conf",
        ])?;
        Ok(())
    }

    fn journal(&self) -> String {
        self.system.journal("mainstay*").unwrap_or_default()
    }

    fn until_active(&self) -> Result<()> {
        wait::until_true(LONG, "a holds the address", || self.host.holds(VIRTUAL))
            .with_context(|| self.journal())
    }

    fn restarts(&self) -> Result<u32> {
        Ok(self.system.property(UNIT, "NRestarts")?.parse()?)
    }

    fn until_restarted(&self, before: u32) -> Result<()> {
        wait::until_true(LONG, "systemd has started it again", || {
            Ok(self.restarts()? > before && self.system.property(UNIT, "ActiveState")? == "active")
        })
        .with_context(|| self.journal())
    }
}

/// The packaged set-up: plugins where they are installed, a check that is met.
fn configuration(router: &Router) -> String {
    let router = mainstay::configuration(router).replace(&mainstay::preamble(), "");
    format!(
        "[[check]]\nname = \"journal\"\nplugin = \"process\"\nsettings = {{ name = \"systemd-journal\" }}\ninterval = \"500ms\"\n\n\
         {router}track = [\"journal\"]\n"
    )
}

/// At one second, so that a restart is well within the down interval of a peer.
fn second(priority: u8) -> Router {
    Router {
        version: 3,
        password: None,
        ..Router::introduction(priority)
    }
}

#[test]
fn starts_reloads_and_stops() -> Result<()> {
    if lacking("systemd_starts_reloads_and_stops") {
        return Ok(());
    }
    let booted = Booted::new()?;
    let good = configuration(&Router::fast(100));
    // `systemctl start` returns when it is ready: then it answers, and the check has a worker.
    booted.start(&good)?;
    let status = booted.system.text(&["mainstay", "status", "--json"])?;
    assert!(status.contains("VI_1"), "{status}");
    booted.until_active()?;
    wait::until_true(
        SOON,
        "the journal has the transition, with its fields",
        || {
            let lines = booted.system.text(&[
                "journalctl",
                "--no-pager",
                "--output=cat",
                "MAINSTAY_ROUTER=VI_1",
                "MAINSTAY_TO=active",
            ])?;
            // One line per transition.
            let told = lines.matches("VI_1 is active: no advertisement").count();
            anyhow::ensure!(told < 2, "{lines}");
            Ok(told == 1)
        },
    )?;

    // An invalid file: the reload fails with its message, and nothing changes.
    let watch = AddressWatch::on(&booted.host)?;
    let process = booted.system.property(UNIT, "MainPID")?;
    booted.configure(&good.replace("priority = 100", "prioritty = 100"))?;
    let output = booted.system.output(&["systemctl", "reload", UNIT])?;
    assert!(!output.status.success(), "an invalid file was reloaded");
    wait::until_true(SOON, "the message is in the journal", || {
        let journal = booted.journal();
        Ok(journal.contains("prioritty") && journal.contains(&format!("{FILE}:")))
    })?;
    assert_eq!(booted.system.property(UNIT, "ActiveState")?, "active");
    assert_eq!(booted.system.property(UNIT, "MainPID")?, process);

    // A valid one: it is in force when the reload has returned.
    booted.configure(&good.replace("priority = 100", "priority = 120"))?;
    booted
        .system
        .text(&["systemctl", "reload", UNIT])
        .with_context(|| booted.journal())?;
    let status = booted.system.text(&["mainstay", "status", "--json"])?;
    assert!(
        status.contains("\"base\":120") || status.contains("\"base\": 120"),
        "{status}"
    );
    assert_eq!(watch.of(VIRTUAL), [], "the address moved");

    booted.system.text(&["systemctl", "stop", UNIT])?;
    assert_eq!(booted.system.property(UNIT, "Result")?, "success");
    assert!(!booted.host.holds(VIRTUAL)?);
    Ok(())
}

#[test]
fn refuses_to_start_with_an_invalid_file() -> Result<()> {
    if lacking("systemd_refuses_to_start_with_an_invalid_file") {
        return Ok(());
    }
    let booted = Booted::new()?;
    // Found by the worker: only a start that waits for it can fail.
    let bad = configuration(&Router::fast(100)).replace("{ name =", "{ nmae =");
    assert!(booted.start(&bad).is_err());
    // Not until its start limit: one that is to be started again is activating meanwhile.
    wait::until_true(LONG, "systemd has given up", || {
        Ok(booted.system.property(UNIT, "ActiveState")? == "failed")
    })?;
    assert_eq!(booted.system.property(UNIT, "ExecMainStatus")?, "78");
    assert_eq!(booted.restarts()?, 0, "a wrong file does not mend itself");
    assert!(booted.journal().contains("nmae"), "{}", booted.journal());
    assert!(!booted.host.holds(VIRTUAL)?);
    Ok(())
}

/// The engine's thread alone stands still, the others live on: the watchdog finds out.
#[test]
fn watchdog_sees_a_stalled_engine() -> Result<()> {
    if lacking("systemd_watchdog_sees_a_stalled_engine") {
        return Ok(());
    }
    let booted = Booted::new()?;
    booted.start(&configuration(&second(100)))?;
    booted.until_active()?;
    let before = booted.restarts()?;
    let daemon = booted.system.main_process(UNIT)?;
    let stalled = Stalled::thread(daemon, "engine")?;
    wait::until_true(LONG, "the watchdog has ended it", || {
        Ok(nix::sys::signal::kill(daemon, None).is_err())
    })?;
    drop(stalled);
    booted.until_restarted(before)?;
    booted.until_active()?;
    let log = booted
        .system
        .text(&["journalctl", "--no-pager", "--output=cat", "--unit", UNIT])?;
    assert!(log.to_lowercase().contains("watchdog"), "{log}");
    Ok(())
}

/// Killed and started again by systemd: the address stays, and a peer notices nothing.
#[test]
fn restart_keeps_the_address() -> Result<()> {
    if lacking("systemd_restart_keeps_the_address") {
        return Ok(());
    }
    let booted = Booted::new()?;
    let peer = booted.lab.host("b", Ipv4Addr::new(192, 168, 1, 102))?;
    let mut peer = Node::new(peer, Implementation::Mainstay, &second(90))?;
    booted.start(&configuration(&second(100)))?;
    booted.until_active()?;
    peer.start()?;
    peer.until_state(SOON, "backup")?;

    let watches = [
        AddressWatch::on(&booted.host)?,
        AddressWatch::on(peer.host())?,
    ];
    booted.capture.clear();
    for _ in 0..2 {
        let before = booted.restarts()?;
        kill(booted.system.main_process(UNIT)?, Signal::SIGKILL)?;
        booted.until_restarted(before)?;
        wait::until_true(LONG, "it is active again", || {
            let status = booted.system.output(&["mainstay", "status", "--json"])?;
            let status: serde_json::Value =
                serde_json::from_slice(&status.stdout).unwrap_or_default();
            Ok(status["routers"][0]["state"] == "active"
                && status["routers"][0]["counters"]["sent"].as_u64() > Some(1))
        })
        .with_context(|| booted.journal())?;
    }
    let seen = booted.capture.seen();
    assert_eq!(
        seen.senders(),
        [booted.host.address()].into(),
        "{}",
        booted.journal()
    );
    assert!(longest_gap(&seen.advertisements) < second(90).down_interval());
    for watch in &watches {
        assert_eq!(watch.of(VIRTUAL), [], "the address moved");
    }
    Ok(())
}

/// It dies again and again: when systemd gives up, what it held goes.
#[test]
fn after_the_start_limit_the_address_goes() -> Result<()> {
    if lacking("systemd_after_the_start_limit_the_address_goes") {
        return Ok(());
    }
    let booted = Booted::new()?;
    booted.start(&configuration(&second(100)))?;
    booted.until_active()?;
    // From now on it cannot start, for a reason that systemd does not know as final.
    booted.system.write(
        "/etc/systemd/system/mainstay.service.d/broken.conf",
        "[Service]\nExecStart=\nExecStart=/bin/false\n",
    )?;
    booted.system.text(&["systemctl", "daemon-reload"])?;
    kill(booted.system.main_process(UNIT)?, Signal::SIGKILL)?;
    wait::until_true(LONG, "systemd has given up", || {
        Ok(booted.system.property(UNIT, "ActiveState")? == "failed")
    })?;
    wait::until_true(SOON, "the address is gone", || {
        Ok(!booted.host.holds(VIRTUAL)?)
    })
    .with_context(|| booted.journal())?;
    assert!(
        booted.host.holds(booted.host.address())?,
        "the host's own address has to stay"
    );
    Ok(())
}

/// Stopped after a crash and before the restart, when there is no daemon that could let go.
#[test]
fn stop_while_it_waits_for_its_restart() -> Result<()> {
    if lacking("systemd_stop_while_it_waits_for_its_restart") {
        return Ok(());
    }
    let booted = Booted::new()?;
    booted.start(&configuration(&second(100)))?;
    booted.until_active()?;
    booted.system.write(
        "/etc/systemd/system/mainstay.service.d/slow.conf",
        "[Service]\nRestartSec=10min\n",
    )?;
    booted.system.text(&["systemctl", "daemon-reload"])?;
    kill(booted.system.main_process(UNIT)?, Signal::SIGKILL)?;
    wait::until_true(LONG, "it waits for its restart", || {
        Ok(booted.system.property(UNIT, "SubState")? == "auto-restart")
    })?;
    assert!(booted.host.holds(VIRTUAL)?, "a crash takes nothing down");
    booted.system.text(&["systemctl", "stop", UNIT])?;
    wait::until_true(SOON, "the address is gone", || {
        Ok(!booted.host.holds(VIRTUAL)?)
    })
    .with_context(|| booted.journal())?;

    // An ordinary restart, with that unit in between, comes up again and has the address.
    booted.system.text(&["systemctl", "start", UNIT])?;
    booted.until_active()?;
    booted.system.text(&["systemctl", "restart", UNIT])?;
    booted.until_active()?;
    assert_eq!(booted.restarts()?, 0);
    Ok(())
}

/// A journal that stands still costs no advertisement.
#[test]
fn journal_that_is_stopped() -> Result<()> {
    if lacking("systemd_journal_that_is_stopped") {
        return Ok(());
    }
    let booted = Booted::new()?;
    booted.start(&configuration(&Router::fast(100)))?;
    booted.until_active()?;
    let journal = booted.system.service_process("systemd-journal")?;
    kill(journal, Signal::SIGSTOP)?;
    let result = loses_nothing(&booted);
    kill(journal, Signal::SIGCONT)?;
    result
}

fn loses_nothing(booted: &Booted) -> Result<()> {
    // Transitions, which are logged: down and up.
    for _ in 0..10 {
        booted.lab.pull_cable(&booted.host)?;
        wait::until_true(LONG, "the address is gone", || {
            Ok(!booted.host.holds(VIRTUAL)?)
        })?;
        booted.lab.plug_cable(&booted.host)?;
        wait::until_true(LONG, "the address is back", || booted.host.holds(VIRTUAL))?;
    }
    booted.capture.clear();
    wait::until_true(LONG, "it advertises thirty times", || {
        Ok(booted.capture.seen().advertisements.len() >= 30)
    })?;
    let gap = longest_gap(&booted.capture.seen().advertisements);
    assert!(gap < Duration::from_millis(300), "a gap of {gap:?}");
    Ok(())
}

/// Prints nothing at all: an unknown key is only a warning to it, with exit status 0.
#[test]
fn units_are_well_formed_and_confined() -> Result<()> {
    if lacking("systemd_units_are_well_formed_and_confined") {
        return Ok(());
    }
    let booted = Booted::new()?;
    for unit in UNITS {
        let output = booted
            .system
            .output(&["systemd-analyze", "verify", "--man=no", unit])?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.is_empty(), "{unit}: {said}");
    }
    let output = booted.system.output(&[
        "systemd-analyze",
        "security",
        "--offline=yes",
        "--threshold=25",
        UNITS[0],
    ])?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );

    // And they bite: the running daemon has these capabilities and no others, and is not root.
    booted.start(&configuration(&Router::fast(100)))?;
    let daemon = booted.system.main_process(UNIT)?;
    let status = std::fs::read_to_string(format!("/proc/{daemon}/status"))?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    const NET_ADMIN_AND_NET_RAW: &str = "0000000000003000";
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), Some(NET_ADMIN_AND_NET_RAW), "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), Some("1"));
    assert_eq!(field("Seccomp:"), Some("2"));
    assert!(!field("Uid:").unwrap_or("0").starts_with('0'));
    let worker = booted.system.service_process("mainstay-worker")?;
    let status = std::fs::read_to_string(format!("/proc/{worker}/status"))?;
    for set in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert!(
            status.contains(&format!("{set}\t0000000000000000")),
            "{set} of the worker: {status}"
        );
    }
    Ok(())
}

/// The packaged worker in the hands of an attacker: its unit, its user, and what it confines itself
/// to.
#[test]
fn t34_native_code_in_the_workers_unit_gets_nowhere() -> Result<()> {
    const NAME: &str = "t34_native_code_in_the_workers_unit_gets_nowhere";
    const PROGRAM: &str = "/usr/lib/mainstay/mainstay-compromised";
    if lacking(NAME) {
        return Ok(());
    }
    let booted = Booted::new()?;
    booted
        .system
        .install(Path::new(compromised::PROGRAM), PROGRAM)?;
    booted.system.write(
        "/etc/systemd/system/mainstay-worker@.service.d/compromised.conf",
        &format!("[Service]\nExecStart=\nExecStart={PROGRAM} --fd 0\n"),
    )?;
    booted.system.text(&["systemctl", "daemon-reload"])?;
    let router = mainstay::configuration(&Router::fast(100)).replace(&mainstay::preamble(), "");
    booted.start(&(router + compromised::PLUGIN))?;
    let log = compromised::until_over(|| booted.system.journal("mainstay-worker@*"))
        .with_context(|| booted.journal())?;
    compromised::ensure_refused(NAME, &log)?;
    booted.until_active()?;
    assert_eq!(booted.restarts()?, 0, "{}", booted.journal());
    Ok(())
}

/// The state of a unit, as a plugin sees it in the packaged set-up: over the system bus, and by no other user's leave.
#[test]
fn a_plugin_sees_the_state_of_a_unit() -> Result<()> {
    if lacking("systemd_a_plugin_sees_the_state_of_a_unit") {
        return Ok(());
    }
    let booted = Booted::new()?;
    let file = booted.host.files().join("app-unit.wasm");
    std::fs::write(&file, guest::unit("app.service"))?;
    booted
        .system
        .install(&file, "/usr/lib/mainstay/plugins/app-unit.wasm")?;
    let router = mainstay::configuration(&Router::fast(100)).replace(&mainstay::preamble(), "");
    booted.start(&format!(
        "plugins.unstable = [\"service-manager\"]\n\
         [[plugin]]\nname = \"app-unit\"\npermissions.units = [\"app.service\"]\n\
         [[check]]\nname = \"app\"\nplugin = \"app-unit\"\ninterval = \"300ms\"\n\n{router}"
    ))?;
    let until = |state: &str| {
        let mut last = String::new();
        wait::until_true(SOON, &format!("the plugin sees {state}"), || {
            let status = booted.system.text(&["mainstay", "status", "--json"])?;
            let status: Value = serde_json::from_str(&status)?;
            last = status["checks"][0]["message"].to_string();
            Ok(last == format!("\"{state}\""))
        })
        .with_context(|| format!("it last saw {last}; {}", booted.journal()))
    };
    // There is none of that name: not-found.
    until("error 1")?;
    booted.system.write(
        "/etc/systemd/system/app.service",
        "[Service]\nExecStart=/bin/sleep infinity\n",
    )?;
    booted.system.text(&["systemctl", "daemon-reload"])?;
    until("inactive")?;
    booted.system.text(&["systemctl", "start", "app.service"])?;
    until("active")?;
    booted
        .system
        .text(&["systemctl", "kill", "--signal=SEGV", "app.service"])?;
    until("failed")
}
