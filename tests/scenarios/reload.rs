//! A configuration whose plugins are broken, in whatever way: the one in force goes on.

use anyhow::{Context, Result};
use mainstay_lab::mainstay;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::wait;
use mainstay_lab::watch::AddressWatch;
use mainstay_worker_tests::guest;

use crate::setup::{LONG, Stage, lacking};

/// A check with these bodies of `describe` and `validate`.
fn described(describe: &str, validate: &str) -> Vec<u8> {
    let rest = format!(
        r#"{run}
           (func (export "mainstay:plugin/lifecycle@0.1.0#describe") (result i32) {describe})
           (func (export "mainstay:plugin/lifecycle@0.1.0#validate") (param i32 i32) (result i32) {validate})"#,
        run = guest::run("(call $report (i32.const 0) (i32.const 0) (i32.const 0))"),
    );
    guest::component("described", &guest::module("", &rest))
}

/// What can be wrong with a plugin before it runs, each with what is said of it.
fn broken() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    // A description in which everything is empty, and a problem of which only its place is.
    let empty = "(i32.const 1024)";
    let problem = r#"(i32.store8 (i32.const 1024) (i32.const 1))
        (i32.store offset=4 (i32.const 1024) (i32.const 1100))
        (i32.store offset=8 (i32.const 1024) (i32.const 1))
        (i32.store (i32.const 1108) (i32.const 1200)) (i32.store (i32.const 1112) (i32.const 5))
        (i32.store (i32.const 1200) (i32.const 0x6e6f7277)) (i32.store8 (i32.const 1204) (i32.const 0x67))
        (i32.const 1024)"#;
    let start = guest::check("", "unreachable) (start $s) (func $s unreachable");
    // A component with a section of a kind that there is not.
    let odd = b"\0asm\x0d\0\x01\0\x7f\0".to_vec();
    vec![
        ("read", b"no component".to_vec(), "is not WebAssembly"),
        ("compile", odd, "is not a valid component"),
        ("instantiate", start, "cannot be instantiated"),
        (
            "describe",
            described("unreachable", empty),
            "cannot be instantiated and described",
        ),
        ("validate", described(empty, problem), "wrong"),
        (
            "validate",
            described(empty, "unreachable"),
            "cannot validate",
        ),
    ]
}

#[test]
fn a_broken_plugin_leaves_the_old_ones_at_work() -> Result<()> {
    if lacking(
        "reload_a_broken_plugin_leaves_the_old_ones_at_work",
        &[Mainstay],
    ) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    let file = stage.a.host().files().join("good.wasm");
    std::fs::write(&file, guest::healthy())?;
    let plugin = |name: &str| {
        let file = stage.a.host().files().join(format!("{name}.wasm"));
        format!(
            "\n[[plugin]]\nname = \"{name}\"\nfile = {file:?}\n\n[[check]]\nname = \"{name}\"\nplugin = \"{name}\"\n\
             interval = \"100ms\"\n"
        )
    };
    let good =
        mainstay::configuration(&Router::fast(100)) + "track = [\"good\"]\n" + &plugin("good");
    let with_bad = good.clone() + &plugin("bad");
    stage.a.configure(&good)?;
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;
    let worker = stage.a.status()?["worker"]["pid"].clone();
    let mut wrong = Vec::new();
    for (kind, component, message) in broken() {
        std::fs::write(stage.a.host().files().join("bad.wasm"), component)?;
        stage.a.configure(&with_bad)?;
        let output = stage.a.reload()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let refused = output.status.code() == Some(78) && said.contains("nothing changed");
        if !refused || !said.contains(message) {
            wrong.push(format!("{kind}: {said}"));
        }
        let before = stage.a.check("good")?["runs"].as_u64().context("no runs")?;
        wait::until_true(LONG, "the old plugin goes on", || {
            let check = stage.a.check("good")?;
            Ok(check["runs"].as_u64() > Some(before + 2) && check["in-service"] == true)
        })?;
        // In the same worker, which has never heard of the other one.
        assert_eq!(stage.a.status()?["worker"]["pid"], worker, "{kind}");
        assert!(stage.a.check("bad").is_err());
    }
    assert_eq!(wrong, Vec::<String>::new());

    // A file that is replaced changes nothing but what is said of it.
    std::fs::write(&file, described("unreachable", "unreachable"))?;
    let listed = stage.a.control("plugin").arg("list").text()?;
    assert!(
        listed.contains("good: the file has changed; a reload would load it"),
        "{listed}"
    );
    stage.a.configure(&good)?;
    assert_eq!(stage.a.reload()?.status.code(), Some(78));
    assert_eq!(stage.a.status()?["worker"]["pid"], worker);
    assert_eq!(watch.of(VIRTUAL), []);

    // What is counted of the old one tells of its runs.
    let runs = "plugin_runs_total{plugin=\"good\",instance=\"good\",outcome=\"ok\"}";
    wait::until_true(LONG, "its runs are counted", || {
        let text = stage.a.control("metrics").text()?;
        let count = text.lines().find_map(|line| line.strip_prefix(runs));
        Ok(count.and_then(|count| count.trim().parse().ok()) > Some(10_u64))
    })
}
