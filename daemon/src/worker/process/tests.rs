//! Children that are shell scripts.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process;

use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

use super::*;

/// A script, and the process that runs it once it has said that it is ready.
async fn run(script: &str) -> (TempDir, Process, Workers, String) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("worker");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let living = Workers::default();
    let (process, stream) = Process::spawn(&program, &[], living.clone()).await.unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        (&stream).read_to_string(&mut said).unwrap();
        said
    });
    (directory, process, living, said.await.unwrap())
}

#[tokio::test]
async fn a_child_gets_its_connection_and_nothing_else() {
    // A descriptor that we were started with, for example.
    let leak = tempfile::tempfile().unwrap();
    fcntl_setfd(&leak, FdFlags::empty()).unwrap();
    let script = "exec 1>&3 2>&3 3>&-\n\
        echo \"arguments $*\"\n\
        grep -E '^(Cap|NoNew)' /proc/$$/status\n\
        env\n\
        ls -l /proc/$$/fd\n\
        exec 1>&- 2>&-; sleep 1000";
    let (directory, process, living, said) = run(script).await;
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    assert_eq!(line("arguments "), Some("--fd 3"));
    let set = |name| u64::from_str_radix(line(name).unwrap().trim(), 16).unwrap();
    let most = if geteuid().is_root() {
        OF_ROOT.bits()
    } else {
        0
    };
    assert_eq!(set("CapPrm:") & !most, 0);
    assert_eq!(set("CapEff:") & !most, 0);
    assert_eq!((set("CapInh:"), set("CapAmb:")), (0, 0));
    assert_eq!(line("NoNewPrivs:").unwrap().trim(), "1");
    // The connection was number 3, and the shell made its output of it.
    let script = directory.path().join("worker").display().to_string();
    let open: Vec<&str> = said
        .lines()
        .filter_map(|line| Some(line.split_once(" -> ")?.1))
        .filter(|target| *target != script)
        .collect();
    let [input, output, errors] = open.as_slice() else {
        panic!("inherited: {open:?}");
    };
    assert_eq!(*input, "/dev/null");
    assert!(output.starts_with("socket:"), "{output}");
    assert_eq!(output, errors);
    let environment = ["HOME=", "USER=", "CARGO", "NOTIFY_SOCKET="];
    assert!(
        environment.into_iter().all(|start| line(start).is_none()),
        "{said}"
    );

    assert_eq!(living.lock().unwrap().len(), 1);
    let status = process.end().await.unwrap();
    assert_eq!(death(status), Death::Killed);
    assert!(living.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_crash_is_told_from_a_kill() {
    for (script, expected) in [
        ("kill -ABRT $$", Death::Crashed),
        ("kill -SEGV $$", Death::Crashed),
        ("exit 3", Death::Crashed),
        ("kill -KILL $$", Death::Killed),
        ("kill -TERM $$", Death::Killed),
    ] {
        let (_directory, process, ..) = run(script).await;
        assert_eq!(death(process.end().await.unwrap()), expected, "{script}");
    }
}

#[tokio::test]
async fn a_stopped_child_and_its_own_children_are_killed() {
    let script = "sleep 1000 3>&- & echo $! >&3; exec 3>&-; kill -STOP $$";
    let (_directory, process, _, said) = run(script).await;
    let grandchild = said.trim().to_owned();
    let status = process.end().await.unwrap();
    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
    // It is somebody else's zombie, or gone.
    let dead = || match fs::read_to_string(format!("/proc/{grandchild}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    while !dead() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_child_that_is_dropped_is_gone_soon() {
    let (_directory, process, living, _) = run("exec 3>&-; sleep 1000").await;
    drop(process);
    while !living.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_are_started_while_many_will_not_go() {
    let (directory, process, living, _) = run("exec 3>&-; sleep 1000").await;
    living.lock().unwrap().extend((1..).take(MOST - 1));
    let program = directory.path().join("worker");
    let spawn = || Process::spawn(&program, &[], living.clone());
    let error = spawn().await.unwrap_err();
    assert!(error.to_string().contains("still there"), "{error}");
    process.end().await.unwrap();
    spawn().await.unwrap();
}

#[tokio::test]
async fn an_executable_that_cannot_be_started_says_why() {
    let missing = Path::new("/nowhere/mainstay-worker");
    let error = Process::spawn(missing, &[], Workers::default()).await;
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    let error = find(Some(missing)).unwrap_err().to_string();
    assert!(error.contains("/nowhere/mainstay-worker"), "{error}");
    assert!(error.contains("--worker"), "{error}");
    let own = PathBuf::from(format!("/proc/{}/exe", process::id()));
    assert_eq!(find(Some(&own)).unwrap(), env::current_exe().unwrap());
}
