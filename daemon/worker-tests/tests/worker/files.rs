//! Directories that plugins are granted.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use mainstay_protocol::{FromWorker, Grants, Outcome, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::Worker;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::peers::{answering, asking, fetch, http, said};

/// A granted directory, beside it what nobody granted. The worker's user may write everywhere, so
/// that whatever is refused is not refused for that.
fn place() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let granted = fs::canonicalize(place.path()).unwrap().join("granted");
    fs::create_dir_all(granted.join("below")).unwrap();
    fs::write(granted.join("below/file"), "inside").unwrap();
    fs::write(granted.join("file"), "inside").unwrap();
    fs::write(granted.join("../secret"), "outside").unwrap();
    symlink("../secret", granted.join("link")).unwrap();
    symlink("..", granted.join("up")).unwrap();
    symlink("/etc/passwd", granted.join("absolute")).unwrap();
    symlink("below/file", granted.join("good")).unwrap();
    fs::hard_link(granted.join("below/file"), granted.join("../hard")).unwrap();
    for path in ["..", ".", "below", "below/file", "file", "../secret"] {
        fs::set_permissions(granted.join(path), Permissions::from_mode(0o777)).unwrap();
    }
    (place, granted)
}

fn grants(directory: &Path) -> Grants {
    Grants {
        files: vec![directory.to_owned()],
        ..Grants::default()
    }
}

fn ask(what: &str, path: impl AsRef<Path>) -> Value {
    json!({ "ask": what, "of": path.as_ref().to_str().unwrap() })
}

#[test]
fn a_granted_directory_is_read_under_its_own_path() {
    let (_place, granted) = place();
    let steps = json!([
        ask("list", &granted),
        ask("read", granted.join("below/file")),
        ask("read", granted.join("good")),
        ask("stat", granted.join("below/file")),
        ask("read", granted.join("absent")),
    ]);
    let said = said(&asking(steps).grants(grants(&granted)).run());
    assert_eq!(
        said[..4],
        ["absolute,below,file,good,link,up", "inside", "inside", "6"]
    );
    assert!(said[4].contains("NotFound"), "{said:?}");
}

#[test]
fn without_a_grant_there_are_no_files() {
    let (_place, granted) = place();
    let steps = json!([
        ask("read", granted.join("file")),
        ask("list", "/"),
        ask("list", "."),
        ask("read", "/proc/self/environ"),
        ask("create", "/tmp/x"),
    ]);
    for answer in said(&asking(steps).run()) {
        assert!(answer.starts_with('!'), "{answer}");
    }
}

/// Threat 23.
#[test]
fn t23_nothing_leads_out_of_a_granted_directory() {
    let (place, granted) = place();
    for way in [
        "../secret",
        "below/../../secret",
        "link",
        "link/",
        "up/secret",
        "up/granted/../secret",
        "up/",
        "up/.",
        "absolute",
        "absolute/",
        "file/",
        "file/../../secret",
        "..",
        "../",
        "./../secret",
        "below//..//..//secret",
    ] {
        let path = format!("{}/{way}", granted.display());
        let steps = json!([ask("read", &path), ask("list", &path), ask("create", &path)]);
        for answer in said(&asking(steps).grants(grants(&granted)).run()) {
            assert!(answer.starts_with('!'), "{way}: {answer}");
        }
    }
    for path in [
        place.path().join("secret"),
        "/etc/passwd".into(),
        "/proc/version".into(),
    ] {
        let steps = json!([ask("read", &path), ask("stat", &path)]);
        for answer in said(&asking(steps).grants(grants(&granted)).run()) {
            assert!(answer.starts_with('!'), "{}: {answer}", path.display());
        }
    }
    assert_eq!(fs::read(place.path().join("secret")).unwrap(), b"outside");
}

/// Threat 23: reading is all.
#[test]
fn t23_a_granted_directory_is_not_changed() {
    let (place, granted) = place();
    let file = granted.join("below/file");
    let steps = json!([
        ask("write", &file),
        ask("create", &file),
        ask("create", granted.join("new")),
        ask("link", &file),
        ask("rename", &file),
        ask("remove", &file),
        ask("make-directory", granted.join("made")),
    ]);
    for answer in said(&asking(steps).grants(grants(&granted)).run()) {
        assert!(answer.starts_with('!'), "{answer}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"inside");
    assert_eq!(fs::read_dir(&granted).unwrap().count(), 6);
    assert_eq!(fs::read_dir(granted.join("below")).unwrap().count(), 1);
    drop(place);
}

/// Threat 17: opening a pipe waits for somebody at its other end, with a thread that others need as well.
#[test]
fn t17_pipes_in_a_granted_directory_keep_nobody_waiting() {
    let (place, granted) = place();
    let pipe = granted.join("pipe");
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o666)).unwrap();
    let way = granted.join("way");
    symlink("pipe", &way).unwrap();
    for path in [&pipe, &way] {
        let mut pipe = ask("read", path);
        pipe["times"] = json!(8);
        let steps = json!([pipe, ask("read", granted.join("file"))]);
        let said = said(&asking(steps).grants(grants(&granted)).run());
        assert!(said[0].starts_with('!'), "{said:?}");
        assert_eq!(said[1], "inside");
    }
    drop(place);
}

#[test]
fn a_directory_that_cannot_be_given_is_a_fault_of_the_load() {
    let (place, granted) = place();
    let linked = granted.parent().unwrap().join("linked");
    symlink(&granted, &linked).unwrap();
    let closed = granted.parent().unwrap().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    for (directory, why) in [
        (granted.join("absent"), "No such file"),
        (granted.join("file"), "Not a directory"),
        (linked, "it is "),
        (granted.join("../granted"), "no plain absolute path"),
    ] {
        let faults = asking(json!([])).grants(grants(&directory)).faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].message.contains(why), "{faults:?}");
        assert!(faults[0].help.is_some());
    }
    // Root, as whom the worker may have stayed in a namespace, can read it after all.
    let faults = asking(json!([])).grants(grants(&closed)).faults();
    assert!(
        faults
            .iter()
            .all(|fault| fault.message.contains("Permission denied")),
        "{faults:?}"
    );
    drop(place);
}

/// Makes so many empty files in a directory.
fn fill(directory: &Path, count: usize) {
    for number in 0..count {
        fs::write(directory.join(format!("{number:0200}")), "").unwrap();
    }
}

/// The most memory that a worker ever had, in bytes.
fn peak(worker: &Worker) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Threat 26: what is closed counts no more, and neither does what an earlier run had.
#[test]
fn t26_a_run_has_sixteen_files_open_and_no_more() {
    let (_place, granted) = place();
    let file = granted.join("file");
    let steps = json!([
        ask("hold", &file),
        ask("list", granted.join("below")),
        ask("read", &file),
        ask("hold", &file),
    ]);
    let mut worker = asking(steps).grants(grants(&granted)).loaded();
    for _ in 0..20 {
        assert_eq!(said(&worker.run("c")), ["16", "file", "inside", "16"]);
    }
}

/// Threat 26: eight checks that have all the files open that they get leave a socket and a file to other plugins.
#[test]
fn t26_files_without_end_take_no_descriptor_from_others() {
    const HOLDERS: usize = 8;
    let (_place, granted) = place();
    let (server, _requests) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let url = format!("http://{server}/");
    let mut other = http(&[&url]);
    other.files = vec![granted.clone()];
    let steps = json!([fetch(&url), ask("read", granted.join("file"))]);
    let mut setup = asking(steps)
        .grants(other)
        .timing(100, 20_000)
        .plugin("holder", &guest::asker())
        .grants(grants(&granted));
    let mut hold = ask("hold", granted.join("file"));
    hold["timeout-ms"] = json!(1500);
    for number in 0..HOLDERS {
        setup = setup
            .check(&format!("holder {number}"), "holder")
            .timing(20_000, 20_000)
            .settings(json!({ "steps": [hold] }));
    }
    setup.load.max_concurrent_runs = 12;
    let mut worker = setup.loaded();
    worker.send(&ToWorker::Start);
    let mut held = BTreeSet::new();
    worker.find(|frame| {
        if let FromWorker::Verdict { check, outcome, .. } = frame {
            let Outcome::Report(report) = outcome else {
                panic!("{check}: {outcome:?}");
            };
            if check == "c" {
                assert_eq!(report.message, "200 2 ok; inside");
            } else {
                let count: usize = report.message.parse().unwrap();
                assert!((1..=16).contains(&count), "{count}");
                held.insert(check);
            }
        }
        (held.len() == HOLDERS).then_some(())
    });
}

/// Threat 3: what a listing takes is memory of the worker, which no limit of the instance counts.
#[test]
fn t03_listings_without_end_take_no_memory() {
    let (_place, granted) = place();
    fill(&granted, 2000);
    let mut twice = ask("hold-listings", &granted);
    twice["times"] = json!(2);
    let mut worker = asking(json!([twice])).grants(grants(&granted)).loaded();
    let before = peak(&worker);
    assert_eq!(said(&worker.run("c")), ["4"]);
    let grown = peak(&worker) - before;
    assert!(grown < 32 << 20, "{grown} bytes");
}

/// Threat 3.
#[test]
fn t03_a_directory_of_more_than_4096_names_is_not_listed() {
    let (_place, granted) = place();
    let below = granted.join("below");
    // One is there already.
    fill(&below, 4095);
    let list = |directory: &Path| {
        let steps = json!([ask("list", directory)]);
        said(&asking(steps).grants(grants(&granted)).run()).remove(0)
    };
    assert!(!list(&below).starts_with('!'));
    fs::write(below.join("one more"), "").unwrap();
    let refused = list(&below);
    assert!(refused.starts_with('!'), "{refused}");
    assert!(refused.contains("FileTooLarge"), "{refused}");
}
