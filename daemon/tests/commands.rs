//! The commands as a person or a service manager calls them: exit codes, and what goes where.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn mainstay(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

const ROUTER: &str =
    "[[router]]\nname = \"a\"\ninterface = \"lo\"\nid = 1\naddresses = [\"10.0.0.1/24\"]\n";

#[test]
fn a_valid_configuration_is_said_to_be_valid() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("good.toml"), ROUTER).unwrap();
    let output = mainstay(directory.path(), &["validate", "good.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "good.toml: valid; routers: 1, checks: 0, hooks: 0\n"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn everything_that_is_wrong_is_said_on_standard_error() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = format!("{ROUTER}priorty = 1\nversion = 9\n");
    fs::write(directory.path().join("bad.toml"), wrong).unwrap();
    for arguments in [
        &["validate", "bad.toml"] as &[&str],
        &["validate", "--config", "bad.toml"],
        &["run", "--config", "bad.toml", "--worker", "/bin/false"],
    ] {
        let output = mainstay(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(
            text(&output.stderr),
            "bad.toml:6:1: router[0].priorty: there is no such key; did you mean \"priority\"?\n\
             bad.toml:7:11: router[0].version: 9 is out of range; a whole number from 2 to 3\n"
        );
    }
}

#[test]
fn a_missing_interface_is_an_error_only_when_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("a.toml"),
        ROUTER.replace("\"lo\"", "\"absent0\""),
    )
    .unwrap();
    let warned = mainstay(directory.path(), &["validate", "a.toml"]);
    assert_eq!(warned.status.code(), Some(0));
    let refused = mainstay(directory.path(), &["validate", "--strict", "a.toml"]);
    assert_eq!(refused.status.code(), Some(78));
    for output in [warned, refused] {
        assert!(text(&output.stderr).contains("there is no interface absent0 now"));
    }
}

#[test]
fn a_plugin_worker_that_is_missing_does_not_hide_what_else_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("own.wasm"), "").unwrap();
    let plugin = "[plugins]\ndirectory = \".\"\n[[plugin]]\nname = \"own\"\n";
    fs::write(path.join("good.toml"), plugin).unwrap();
    fs::write(path.join("bad.toml"), format!("{plugin}nmae = 1\n")).unwrap();

    let output = mainstay(path, &["validate", "--worker", "/none", "good.toml"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let missing = "mainstay: there is no plugin worker at /none: name it with --worker\n";
    assert_eq!(text(&output.stderr), missing);

    let output = mainstay(path, &["validate", "--worker", "/none", "bad.toml"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        format!(
            "{missing}bad.toml:5:1: plugin[0].nmae: there is no such key; did you mean \"name\"?\n"
        )
    );
}

#[test]
fn without_a_daemon_there_is_nothing_to_ask() {
    let directory = tempfile::tempdir().unwrap();
    for command in [
        &["status"] as &[&str],
        &["status", "--json"],
        &["explain"],
        &["reload"],
    ] {
        let arguments = [command, &["--runtime-dir", "."]].concat();
        let output = mainstay(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(
            text(&output.stderr),
            "mainstay: no daemon answers at ./control.sock: is it running?\n"
        );
    }
}

#[test]
fn release_without_anything_of_ours_is_done_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["release", "--runtime-dir", "run", "--state-dir", "."];
    let output = mainstay(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), "nothing to release\n");
}

#[test]
fn a_state_directory_that_another_daemon_has_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("mainstay.toml"), ROUTER).unwrap();
    fs::create_dir(path.join("state")).unwrap();
    let held = fs::File::open(path.join("state")).unwrap();
    held.lock().unwrap();
    let options = ["--runtime-dir", "run", "--state-dir", "state"];
    for command in [
        &["release"] as &[&str],
        &["run", "--config", "mainstay.toml", "--worker", "/bin/false"],
    ] {
        let output = mainstay(path, &[command, &options].concat());
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        let said = "another daemon keeps its manifest in state: stop it, or give this one a \
                    directory of its own with --state-dir\n";
        assert!(text(&output.stderr).ends_with(said), "{output:?}");
    }
    assert_eq!(fs::read_dir(path.join("state")).unwrap().count(), 0);
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &[] as &[&str],
        &["frobnicate"],
        &["status", "--frobnicate"],
        &["plugin", "run", "a.wasm", "--grant", "process"],
        &["plugin", "run", "a.wasm", "--settings", "[]"],
    ] {
        let output = mainstay(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert_eq!(text(&output.stdout), "");
    }
    for arguments in [["--help"], ["--version"]] {
        let output = mainstay(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("mainstay"));
    }
}

#[test]
fn a_plugin_that_is_not_there_is_said_to_be_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    for command in ["inspect", "run"] {
        let named = ["plugin", command, "none.wasm", "--plugin-dir", "mine"];
        let output = mainstay(directory.path(), &named);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        let said = text(&output.stderr);
        let begin = format!(
            "mainstay: there is no plugin at {path}/none.wasm or {path}/mine/none.wasm or "
        );
        assert!(said.starts_with(&begin), "{said}");
        assert!(
            said.ends_with("name its directory with --plugin-dir\n"),
            "{said}"
        );
    }
}
