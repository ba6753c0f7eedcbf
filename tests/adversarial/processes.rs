//! What a plugin learns of the machine's processes.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::{env, fs};

use mainstay_protocol::{Grants, Outcome, ProcessGrant, RunReport};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

/// A process whose name is for it to choose, and that ends with the test.
struct Impostor {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Impostor {
    /// Calls itself so.
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join(name);
        let sleep = env::split_paths(&env::var_os("PATH").unwrap())
            .map(|path| path.join("sleep"))
            .find(|path| path.is_file())
            .unwrap();
        fs::copy(sleep, &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let child = Command::new(&program).arg("1000").spawn().unwrap();
        // Until exec it still has the name of this process.
        let comm = format!("/proc/{}/comm", child.id());
        while fs::read_to_string(&comm).unwrap().trim() != name {
            std::thread::yield_now();
        }
        Self {
            child,
            _directory: directory,
        }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A check that counts the processes of a selector (`kind`: its case in the contract), `times` times.
/// Its message has as many bytes as the last count, or 50 and the number of the error.
fn counter(kind: u32, value: &str, times: u32) -> Vec<u8> {
    guest::check(
        &format!(
            r#"(import "mainstay:plugin/process@0.1.0" "count"
                 (func $count (param i32 i32 i32 i32)))
               (data (i32.const 0) "{value}")"#
        ),
        &format!(
            "(local $n i32)
             (loop $again
               (call $count
                 (i32.const {kind}) (i32.const 0) (i32.const {length}) (i32.const 900))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const {times}))))
             (memory.fill (i32.const 4096) (i32.const 0x78) (i32.const 100))
             (call $report (i32.const 0) (i32.const 4096)
               (if (result i32) (i32.load8_u (i32.const 900))
                 (then (i32.add (i32.const 50) (i32.load8_u (i32.const 904))))
                 (else (i32.load (i32.const 904)))))",
            length = value.len()
        ),
    )
}

const NAME: u32 = 0;
const UNIT: u32 = 3;
const NOT_PERMITTED: usize = 50;
const UNAVAILABLE: usize = 52;

fn answer(report: &RunReport) -> usize {
    match &report.outcome {
        Outcome::Report(report) => report.message.len(),
        Outcome::Fault(fault) => panic!("{fault:?}"),
    }
}

fn setup(component: &[u8], process: ProcessGrant) -> Setup {
    Setup::with_check(component)
        .timing(10_000, 10_000)
        .grants(Grants {
            process,
            ..Grants::default()
        })
}

fn names(name: &str) -> ProcessGrant {
    ProcessGrant {
        names: vec![name.to_owned()],
        ..ProcessGrant::default()
    }
}

#[test]
fn t24_processes_that_are_not_granted_are_not_seen() {
    let _there = Impostor::new("t24-somebody");
    let counted = |grant| answer(&setup(&counter(NAME, "t24-somebody", 1), grant).run());
    assert_eq!(counted(ProcessGrant::default()), NOT_PERMITTED);
    assert_eq!(counted(names("t24-nobody")), NOT_PERMITTED);
    assert_eq!(counted(names("t24-somebody")), 1);
}

/// The list of what is found: each of the granted name, without a command line unless that is granted.
#[test]
fn t24_a_list_holds_what_is_granted_and_no_command_line() {
    let _there = [Impostor::new("t24-listed"), Impostor::new("t24-other")];
    // The name stands in the first record of the list, behind the two pids.
    let lister = guest::check(
        r#"(import "mainstay:plugin/process@0.1.0" "find"
             (func $find (param i32 i32 i32 i32 i32)))
           (data (i32.const 0) "t24-listed")"#,
        "(call $find (i32.const 0) (i32.const 0) (i32.const 10) (i32.const 64) (i32.const 900))
         (if (i32.load8_u (i32.const 900)) (then unreachable))
         (call $report
           (i32.const 0)
           (i32.load offset=8 (i32.load (i32.const 904)))
           (i32.load offset=12 (i32.load (i32.const 904))))",
    );
    let report = setup(&lister, names("t24-listed")).run();
    let Outcome::Report(found) = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(found.message, "t24-listed");
    assert!(!format!("{report:?}").contains("1000"), "{report:?}");
}

/// A name is what a process says of itself; its unit is what systemd says.
#[test]
fn t25_a_process_that_takes_a_name_does_not_take_a_unit() {
    let _impostor = Impostor::new("t25-trusted");
    let granted = ProcessGrant {
        units: vec!["t25-trusted".to_owned(), "t25-trusted.service".to_owned()],
        ..names("t25-trusted")
    };
    let counted = |kind, value| {
        let component = counter(kind, value, 1);
        answer(&setup(&component, granted.clone()).run())
    };
    assert_eq!(counted(NAME, "t25-trusted"), 1);
    assert_eq!(counted(UNIT, "t25-trusted"), 0);
    assert_eq!(counted(UNIT, "t25-trusted.service"), 0);
}

/// Reads that a process has made so far.
fn reads(worker: &Worker) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", worker.pid())).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscr: "));
    line.unwrap().parse().unwrap()
}

/// Sixty-four questions in one run are answered, by one look at `/proc`; the rest is not.
#[test]
fn t11_a_flood_of_questions_is_one_look_at_the_processes() {
    let name = "t11-counted";
    let _there = Impostor::new(name);
    let flood = |times| setup(&counter(NAME, name, times), names(name)).loaded();
    let run = |worker: &mut Worker| {
        let before = reads(worker);
        let report = worker.run("c");
        (answer(&report), reads(worker) - before)
    };
    let (once, one_look) = run(&mut flood(1));
    assert_eq!(once, 1);
    let (many, looks) = run(&mut flood(64));
    assert_eq!(many, 1);
    // On a machine that is held up for longer than a look is good for, there are a few.
    assert!(
        looks < 8 * one_look,
        "{looks} reads, and {one_look} for one"
    );
    let (over, looks) = run(&mut flood(10_000));
    assert_eq!(over, UNAVAILABLE);
    assert!(
        looks < 8 * one_look,
        "{looks} reads, and {one_look} for one"
    );
}
