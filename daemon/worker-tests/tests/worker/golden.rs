//! Components of every version of the contract that was frozen keep running as they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mainstay_protocol::{FromWorker, Outcome, PluginInfo, Status, Subject, ToWorker};
use mainstay_worker_tests::contract::Contract;
use mainstay_worker_tests::harness::{Setup, Worker};
use serde_json::json;

use super::hooks::event;

/// The directories of the frozen versions.
fn versions() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat");
    let entries = directory.read_dir().unwrap();
    let versions: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("world.wit").is_file())
        .collect();
    assert!(!versions.is_empty(), "no version is frozen");
    versions
}

/// Loads one component as plugin `p`, check `c` or hook `h`; its information, with the imports that it lacks.
fn loaded(version: &Path, name: &str, hook: bool) -> (Worker, PluginInfo) {
    let bytes = fs::read(version.join(name)).unwrap();
    let setup = Setup::empty().plugin("p", &bytes);
    let setup = match hook {
        true => setup.hook("h", "p"),
        false => setup
            .check("c", "p")
            .settings(json!({"word": "hello"}))
            .timing(1000, 1000),
    };
    let mut worker = Worker::start();
    let (plugins, faults) = worker.load(&setup);
    assert_eq!(faults, [], "{name} of {}", version.display());
    (worker, plugins[0].clone())
}

/// A golden component that leaves an interface out would prove nothing about it.
fn imports_everything(version: &Path, info: &PluginInfo) {
    let contract = Contract::read(version);
    let version = contract.version();
    let wanted = contract.imported();
    let prefix = "mainstay:plugin/";
    let found: BTreeSet<String> = info
        .imports
        .iter()
        .filter_map(|name| {
            name.strip_prefix(prefix)?
                .strip_suffix(&format!("@{version}"))
        })
        .map(str::to_owned)
        .collect();
    let missing: Vec<&String> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "not imported: {missing:?}");
    assert_eq!(info.api.as_deref(), Some(version.as_str()));
    assert!(info.described.is_some());
}

fn message(outcome: Outcome) -> String {
    match outcome {
        Outcome::Report(report) => {
            assert_eq!(report.status, Status::Healthy);
            report.message
        }
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}

#[test]
fn the_check_of_every_version_runs_and_remembers() {
    for version in versions() {
        let (mut worker, info) = loaded(&version, "check.wasm", false);
        imports_everything(&version, &info);
        assert_eq!(info.roles, ["check"]);
        assert_eq!(info.wishes[0].capability, "process");
        worker.send(&ToWorker::Start);
        let first = message(worker.verdict("c").0);
        assert!(
            first.starts_with("hello c carried=0 previous=None "),
            "{first}"
        );
        let answers = first.split_once("previous=None ").unwrap().1.to_owned();
        assert!(answers.starts_with("budget=true "), "{answers}");
        for answer in answers.split(' ').skip(1) {
            let denied = ["=\"not-permitted\"", "=Error::NotPermitted"];
            assert!(denied.iter().any(|end| answer.ends_with(end)), "{answers}");
        }
        let second = message(worker.verdict("c").0);
        assert!(
            second.starts_with("hello c carried=4 previous=Some(Status::Healthy) "),
            "{second}"
        );
    }
}

#[test]
fn the_check_of_every_version_says_what_is_wrong_with_its_settings() {
    for version in versions() {
        let bytes = fs::read(version.join("check.wasm")).unwrap();
        for (settings, pointer) in [
            (json!({"word": ""}), "/word"),
            (json!({"word": 1}), "/word"),
        ] {
            let faults = Setup::with_check(&bytes).settings(settings).faults();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(faults[0].pointer.as_deref(), Some(pointer));
            assert_eq!(faults[0].subject, Subject::Check("c".into()));
        }
    }
}

#[test]
fn the_hook_of_every_version_is_called() {
    for version in versions() {
        let (mut worker, info) = loaded(&version, "hook.wasm", true);
        imports_everything(&version, &info);
        assert_eq!(info.roles, ["hook"]);
        let (line, error) = deliver(&mut worker);
        assert_eq!(error, None);
        assert!(
            line.contains("VI_1") && line.contains("RouterState::Active"),
            "{line}"
        );
    }
}

#[test]
fn the_component_without_an_sdk_of_every_version_is_both() {
    for version in versions() {
        let (mut worker, info) = loaded(&version, "plain.wasm", false);
        imports_everything(&version, &info);
        assert_eq!(info.roles, ["check", "hook"]);
        let report = worker.run("c");
        let said = message(report.outcome);
        assert!(
            !said.is_empty() && said.bytes().all(|digit| digit == b'1'),
            "{said}"
        );
        let (mut worker, _) = loaded(&version, "plain.wasm", true);
        assert_eq!(deliver(&mut worker), ("golden".to_owned(), None));
    }
}

/// Delivers an event to the hook; the last line that it logged, and its error.
fn deliver(worker: &mut Worker) -> (String, Option<String>) {
    worker.send(&ToWorker::Event {
        hook: "h".to_owned(),
        event: event("router/VI_1/ipv4", 1),
    });
    let mut last = String::new();
    worker.find(|frame| match frame {
        FromWorker::Log { message, .. } => {
            last = message;
            None
        }
        FromWorker::HookDone { error, .. } => {
            Some((last.clone(), error.map(|fault| fault.message)))
        }
        _ => None,
    })
}
