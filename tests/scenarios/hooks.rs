//! Hooks are told of every transition of their router, in order, after it happened.

use anyhow::{Context, Result};
use mainstay_lab::capture::longest_gap;
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::watch::AddressWatch;
use mainstay_lab::{process, wait};
use mainstay_worker_tests::guest;
use nix::sys::signal::{Signal, kill};

use crate::setup::{LONG, Stage, Which, lacking};

/// The transitions of the hook's lines in a log, as `FROM -> TO`.
fn transitions(log: &str) -> Vec<(String, String)> {
    log.lines()
        .filter(|line| line.contains("id 51)") && line.contains("addresses 192.168.1.100/24"))
        .filter_map(|line| {
            let (before, after) = line.split_once(" -> ")?;
            let from = before.rsplit(' ').next()?.to_owned();
            let to = after.split(',').next()?.to_owned();
            Some((from, to))
        })
        .collect()
}

/// The transitions of a node that became active and lost its cable so many times.
fn expected(times: usize) -> Vec<(String, String)> {
    let begin = [("initialize", "backup"), ("backup", "active")];
    let each = [
        ("active", "fault"),
        ("fault", "backup"),
        ("backup", "active"),
    ];
    begin
        .into_iter()
        .chain((0..times).flat_map(|_| each))
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect()
}

#[test]
fn every_transition_in_order() -> Result<()> {
    if lacking("hooks_every_transition_in_order", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.configure(
        &(mainstay::configuration(&Router::fast(100)) + "\n[[hook]]\nplugin = \"log\"\n"),
    )?;
    stage.start()?;
    for _ in 0..3 {
        stage.lab.pull_cable(stage.a.host())?;
        wait::until_true(LONG, "b holds the address", || stage.b.holds(VIRTUAL))?;
        stage.lab.plug_cable(stage.a.host())?;
        stage.until_only(Which::A, LONG)?;
    }
    let expected = expected(3);
    let mut told = Vec::new();
    let result = wait::until_true(LONG, "the hook has been told of everything", || {
        told = transitions(&stage.a.log()?);
        Ok(told.len() >= expected.len())
    });
    assert_eq!(told, expected);
    result?;

    // And of the end, while the daemon stops.
    stage.a.stop()?;
    let told = transitions(&stage.a.log()?);
    assert_eq!(
        told.last(),
        Some(&("active".to_owned(), "stopped".to_owned())),
        "{told:?}"
    );
    Ok(())
}

/// The worker is killed before each transition: it is told of late, and perhaps twice, but told.
#[test]
fn at_least_once_when_the_worker_dies() -> Result<()> {
    if lacking("hooks_at_least_once_when_the_worker_dies", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.configure(
        &(mainstay::configuration(&Router::fast(100)) + "\n[[hook]]\nplugin = \"log\"\n"),
    )?;
    stage.start()?;
    // A worker that dies while it loads the first configuration is another matter.
    wait::until_true(LONG, "the hook has been told of the beginning", || {
        Ok(transitions(&stage.a.log()?) == expected(0))
    })?;
    let daemon = stage.a.process()?.pid();
    for _ in 0..3 {
        for pid in process::children(daemon)? {
            kill(pid, Signal::SIGKILL)?;
        }
        stage.lab.pull_cable(stage.a.host())?;
        wait::until_true(LONG, "b holds the address", || stage.b.holds(VIRTUAL))?;
        stage.lab.plug_cable(stage.a.host())?;
        stage.until_only(Which::A, LONG)?;
    }
    let mut told = Vec::new();
    wait::until_true(LONG, "the hook has been told of everything", || {
        told = transitions(&stage.a.log()?);
        told.dedup();
        Ok(told == expected(3))
    })
    .with_context(|| format!("told of {told:?}"))
}

/// A check that is healthy and unhealthy in turns, and degraded when it has a second for it.
fn turncoat() -> Vec<u8> {
    guest::check(
        "",
        "(call $report
           (if (result i32) (i32.ge_u (i32.load offset=68 (local.get $request)) (i32.const 1000))
             (then (i32.const 1))
             (else (i32.shl
               (i32.and (i32.load8_u offset=72 (local.get $request)) (i32.const 1))
               (i32.const 1))))
           (i32.const 0) (i32.const 0))",
    )
}

/// A hook that takes 30 ms of its second and then logs the check and what became of it, and whether
/// events were merged.
fn slow() -> Vec<u8> {
    let items = r#"
        (import "mainstay:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
        (import "mainstay:plugin/budget@0.1.0" "remaining-ms" (func $left (result i32)))
        (data (i32.const 0) "merged") (data (i32.const 8) "single")
        (data (i32.const 16) "check") (data (i32.const 24) "to")"#;
    let body = r#"(func (export "mainstay:plugin/hook@0.1.0#on-event") (param $event i32) (result i32)
        (loop $wait (br_if $wait (i32.gt_u (call $left) (i32.const 970))))
        (i32.store (i32.const 100) (i32.const 16)) (i32.store (i32.const 104) (i32.const 5))
        (i64.store (i32.const 108) (i64.load offset=36 align=4 (local.get $event)))
        (i32.store (i32.const 116) (i32.const 24)) (i32.store (i32.const 120) (i32.const 2))
        (i64.store (i32.const 124) (i64.load offset=56 align=4 (local.get $event)))
        (call $write (i32.const 2)
          (select (i32.const 0) (i32.const 8) (i32.load8_u offset=28 (local.get $event)))
          (i32.const 6) (i32.const 100) (i32.const 2))
        (i32.const 1024))"#;
    guest::component("hook", &guest::module(items, body))
}

/// A hook that traps at whatever it is told.
fn trapping() -> Vec<u8> {
    let body = r#"(func (export "mainstay:plugin/hook@0.1.0#on-event") (param i32) (result i32) unreachable)"#;
    guest::component("hook", &guest::module("", body))
}

/// Ten checks that turn every 10 ms, a thousand events a second, for a hook that is slow and one that
/// traps. Neither the router nor the daemon's memory knows of it, and in the end the slow hook has
/// been told how each check stands.
#[test]
fn t36_a_storm_leaves_memory_flat_and_tells_the_last_state() -> Result<()> {
    if lacking(
        "hooks_a_storm_leaves_memory_flat_and_tells_the_last_state",
        &[Mainstay],
    ) {
        return Ok(());
    }
    const CHECKS: usize = 10;
    let mut stage = Stage::pair(Router::fast)?;
    let mut plugins = mainstay::configuration(&Router::fast(100));
    for (name, component) in [
        ("turncoat", turncoat()),
        ("slow", slow()),
        ("trap", trapping()),
    ] {
        let file = stage.a.host().files().join(format!("{name}.wasm"));
        std::fs::write(&file, component)?;
        plugins += &format!(
            "\n[[plugin]]\nname = \"{name}\"\nfile = {file:?}\nlimits.log-lines-per-minute = 100000\n"
        );
    }
    for hook in ["slow", "trap"] {
        plugins +=
            &format!("\n[[hook]]\nplugin = \"{hook}\"\ntimeout = \"1s\"\nevents = [\"check\"]\n");
    }
    let with_checks = |timing: &str| {
        let checks = (0..CHECKS).map(|number| {
            format!("\n[[check]]\nname = \"c{number}\"\nplugin = \"turncoat\"\n{timing}\nrise = 1\nfall = 1\n")
        });
        plugins.clone() + &checks.collect::<String>()
    };
    stage
        .a
        .configure(&with_checks("interval = \"10ms\"\ntimeout = \"10ms\""))?;
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;
    stage.capture.clear();

    let daemon = stage.a.process()?.pid();
    let resident_after = |runs: u64| {
        wait::until_true(LONG, "the checks have turned so often", || {
            Ok(stage.a.check("c0")?["runs"].as_u64() > Some(runs))
        })?;
        process::resident(daemon)
    };
    // By then the queues are full.
    let before = resident_after(200)?;
    let after = resident_after(1_000)?;
    assert!(after < before + (2 << 20), "from {before} to {after} bytes");

    stage
        .a
        .configure(&with_checks("interval = \"1h\"\ntimeout = \"1s\""))?;
    let output = stage.a.reload()?;
    assert!(output.status.success(), "{output:?}");
    // In the order in which the hook was told; the fields are quoted once more as one field of the log.
    let told = |check: usize| {
        let fields = format!(r#"check=\"c{check}\" to="#);
        let log = stage.a.log()?;
        let lines = log.lines().filter(|line| line.contains(&fields));
        anyhow::Ok(lines.map(str::to_owned).collect::<Vec<_>>())
    };
    for check in 0..CHECKS {
        let last = |lines: &[String]| {
            let last = lines.last();
            last.is_some_and(|line| line.contains(r#"to=\"degraded\""#))
        };
        wait::until_true(2 * LONG, "the slow hook is told of the last state", || {
            Ok(last(&told(check)?))
        })?;
        let lines = told(check)?;
        // Whether the last one is merged is chance: the one before may have been told just then.
        let merged = lines.iter().filter(|line| line.contains("merged")).count();
        assert!(merged > lines.len() / 2, "{merged} of {lines:?}");
        assert!(
            lines.len() < 1_000,
            "each of {} events is told",
            lines.len()
        );
    }
    let seen = stage.capture.seen().from(stage.a.host().address());
    let gap = longest_gap(&seen);
    assert!(gap < 2 * Router::fast(100).interval, "a gap of {gap:?}");
    assert_eq!(watch.of(VIRTUAL), []);
    Ok(())
}
