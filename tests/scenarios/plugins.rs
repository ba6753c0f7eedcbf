//! Plugins that misbehave: each is named, and the others go on.

use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::capture::longest_gap;
use mainstay_lab::mainstay;
use mainstay_lab::nginx::Nginx;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{NginxCheck, Router, VIRTUAL};
use mainstay_lab::process;
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::wait;
use mainstay_lab::watch::AddressWatch;
use nix::sys::signal::{Signal, kill};

use crate::setup::{LONG, Stage, lacking_nginx};

/// A condition that is met as long as plugins run; how long the worker is away does not matter.
fn router() -> Router {
    Router {
        nginx: Some(NginxCheck {
            interval: Duration::from_millis(300),
            weight: None,
            stale_after: Some(Duration::from_secs(120)),
        }),
        ..Router::fast(100)
    }
}

/// A check of the misbehaving plugin, declared under a name of its own.
fn misbehaving(name: &str, behaviour: &str) -> String {
    let file = mainstay::misbehaving();
    format!(
        "\n[[plugin]]\nname = \"{name}\"\nfile = {file:?}\n\n[[check]]\nname = \"{name}\"\nplugin = \"{name}\"\n\
         settings = {{ behaviour = \"{behaviour}\" }}\ninterval = \"300ms\"\ntimeout = \"250ms\"\n"
    )
}

/// Whether a scenario has to be left out for want of the plugin.
fn lacking_plugin(scenario: &str) -> bool {
    let file = mainstay::misbehaving();
    lacking_nginx(scenario, &[Mainstay]) || skip(scenario, &[Need::File(file)])
}

#[test]
fn every_kind_is_an_error_by_name() -> Result<()> {
    if lacking_plugin("every_kind_is_an_error_by_name") {
        return Ok(());
    }
    let mut stage = Stage::new((Mainstay, &router()), (Mainstay, &Router::fast(90)))?;
    let bad = ["loop", "trap", "memory", "recursion", "megabytes", "fail"];
    let mut text = mainstay::configuration(&router());
    for behaviour in bad {
        text += &misbehaving(behaviour, behaviour);
    }
    text += &misbehaving("log-flood", "log-flood");
    text += &misbehaving("behave", "behave");
    stage.a.configure(&text)?;
    let _nginx = Nginx::start(stage.a.host())?;
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;
    stage.capture.clear();

    for behaviour in bad {
        wait::until_true(LONG, &format!("{behaviour} is an error"), || {
            let check = stage.a.check(behaviour)?;
            Ok(check["errors"].as_u64() > Some(0) && check["in-service"] == false)
        })?;
        let message = stage.a.check(behaviour)?["message"].to_string();
        assert!(
            message.len() > 4 && message.len() < 2048,
            "{behaviour}: {message}"
        );
    }
    for good in ["behave", "nginx"] {
        let before = stage.a.check(good)?["runs"].as_u64().context("no runs")?;
        wait::until_true(LONG, &format!("{good} goes on"), || {
            let check = stage.a.check(good)?;
            Ok(check["runs"].as_u64() > Some(before + 5) && check["status"] == "healthy")
        })?;
    }
    let lines = stage.a.log()?.matches("line 99").count();
    assert!(lines < 500, "{lines} of the flood's lines got into the log");
    let seen = stage.capture.seen().from(stage.a.host().address());
    assert!(
        longest_gap(&seen) < 2 * router().interval,
        "a gap of {:?}",
        longest_gap(&seen)
    );
    assert_eq!(watch.of(VIRTUAL), []);
    Ok(())
}

/// A worker that aborts takes the plugin that was running with it, by name, and no other.
#[test]
fn t33_one_that_aborts_the_worker_rests() -> Result<()> {
    if lacking_plugin("one_that_aborts_the_worker_rests") {
        return Ok(());
    }
    let endless = misbehaving("loop", "loop")
        .replace("\"300ms\"", "\"1s\"")
        .replace("\"250ms\"", "\"990ms\"");
    let mut stage = Stage::new((Mainstay, &router()), (Mainstay, &Router::fast(90)))?;
    stage
        .a
        .configure(&(mainstay::configuration(&router()) + &endless))?;
    let _nginx = Nginx::start(stage.a.host())?;
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;

    // What a fault in the runtime would do, at moments when nearly always the loop is in flight:
    // it runs for 990 of every 1000 milliseconds.
    let daemon = stage.a.process()?.pid();
    let mut aborted = Vec::new();
    let rests = || {
        anyhow::Ok(
            stage.a.check("loop")?["message"]
                .to_string()
                .contains("quarantine"),
        )
    };
    wait::until_true(Duration::from_secs(90), "the loop is in quarantine", || {
        let before = stage.a.check("nginx")?["runs"]
            .as_u64()
            .context("no runs")?;
        let worker = wait::until(LONG, "another worker serves", || {
            let worker = process::children(daemon)?.into_iter().find(|pid| {
                !aborted.contains(pid)
                    && process::name(*pid).is_ok_and(|name| name == "mainstay-worker")
            });
            Ok(worker.filter(|_| {
                let now = stage.a.check("nginx").map(|check| check["runs"].as_u64());
                now.is_ok_and(|runs| runs > Some(before + 1))
            }))
        })?;
        kill(worker, Signal::SIGABRT)?;
        aborted.push(worker);
        wait::until_true(LONG, "the worker is gone", || {
            Ok(process::name(worker).is_err())
        })?;
        let runs = stage.a.check("nginx")?["runs"].as_u64();
        wait::until_true(LONG, "the next worker serves", || {
            Ok(stage.a.check("nginx")?["runs"].as_u64() > runs)
        })?;
        rests()
    })
    .with_context(|| {
        format!(
            "{} workers were aborted; {:?}",
            aborted.len(),
            stage.a.check("loop")
        )
    })?;
    let before = stage.a.check("nginx")?["runs"]
        .as_u64()
        .context("no runs")?;
    wait::until_true(LONG, "the other check goes on", || {
        let check = stage.a.check("nginx")?;
        Ok(check["runs"].as_u64() > Some(before + 3) && check["status"] == "healthy")
    })?;
    assert!(stage.a.log()?.contains("loop"));
    assert_eq!(watch.of(VIRTUAL), []);
    Ok(())
}

/// Traps in a row put a check to rest.
#[test]
fn t35_one_that_traps_in_a_row_rests() -> Result<()> {
    if lacking_plugin("one_that_traps_in_a_row_rests") {
        return Ok(());
    }
    let mut stage = Stage::new((Mainstay, &router()), (Mainstay, &Router::fast(90)))?;
    let trap = misbehaving("trap", "trap") + "quarantine-after = 3\n";
    stage
        .a
        .configure(&(mainstay::configuration(&router()) + &trap))?;
    let _nginx = Nginx::start(stage.a.host())?;
    stage.start()?;
    wait::until_true(LONG, "the trap is in quarantine", || {
        Ok(stage.a.check("trap")?["message"]
            .to_string()
            .contains("quarantine"))
    })?;
    // It rests: it is not run any more, while the other check is, many times.
    let trapped = |stage: &Stage| anyhow::Ok(stage.a.log()?.matches("on purpose").count());
    let rested = trapped(&stage)?;
    let before = stage.a.check("nginx")?["runs"]
        .as_u64()
        .context("no runs")?;
    wait::until_true(LONG, "the other check goes on", || {
        Ok(stage.a.check("nginx")?["runs"].as_u64() > Some(before + 8))
    })?;
    assert_eq!((rested, trapped(&stage)?), (3, 3));
    Ok(())
}

/// A condition that has never been reported to be met is not met: the node stays out.
#[test]
fn one_that_never_answers_keeps_its_router_out() -> Result<()> {
    if lacking_plugin("one_that_never_answers_keeps_its_router_out") {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let text = mainstay::configuration(&Router::fast(100))
        + "track = [\"loop\"]\n"
        + &misbehaving("loop", "loop");
    stage.a.configure(&text)?;
    stage.a.start()?;
    wait::until_true(LONG, "it has been tried five times", || {
        // The daemon may not have made its control socket yet.
        Ok(stage
            .a
            .check("loop")
            .is_ok_and(|check| check["errors"].as_u64() > Some(5)))
    })?;
    stage.a.until_state(LONG, "fault")?;
    assert_eq!(stage.capture.seen().advertisements, []);
    assert!(!stage.a.holds(VIRTUAL)?);
    // On reload without it the router is eligible.
    stage
        .a
        .configure(&mainstay::configuration(&Router::fast(100)))?;
    let output = stage.a.reload()?;
    assert!(output.status.success(), "{output:?}");
    stage.a.until_state(LONG, "active")
}

/// Nobody locks memory: what WebAssembly reserves would be more than any limit allows.
#[test]
fn t32_hardly_any_memory_that_may_be_locked_is_enough() -> Result<()> {
    const NAME: &str = "t32_hardly_any_memory_that_may_be_locked_is_enough";
    if lacking_nginx(NAME, &[Mainstay]) || skip(NAME, &[Need::Executable("prlimit")]) {
        return Ok(());
    }
    let stage = Stage::new((Mainstay, &router()), (Mainstay, &Router::fast(90)))?;
    let _nginx = Nginx::start(stage.a.host())?;
    let before = ["prlimit", "--memlock=65536:65536"];
    let _daemon = mainstay::run_behind(&stage.a, &before, &mainstay::worker())?;
    wait::until_true(LONG, "the check runs and decides", || {
        Ok(stage
            .a
            .check("nginx")
            .is_ok_and(|check| check["status"] == "healthy" && check["runs"].as_u64() > Some(3)))
    })?;
    stage.a.until_state(LONG, "active")
}
