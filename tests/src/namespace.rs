//! Linux namespaces that live as long as a value does.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::sethostname;

/// What the first process of a host does: a proc and a run directory of its own, then it waits for
/// the end of its input. Bash because it reaps whatever is orphaned, also while it reads.
const INIT: &str = "mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run \
    && ip link set lo up && echo ready && read -r _";

/// The kinds of namespace that a host has, in the order in which a thread can join them.
const KINDS: [(&str, CloneFlags); 4] = [
    ("net", CloneFlags::CLONE_NEWNET),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// Network, process, mount and UTS namespaces with an init process. When that ends, the kernel ends
/// everything in them; and it ends when this value is dropped or the test's process dies.
pub(crate) struct Namespaces {
    /// Taken by the drop only.
    init: Option<Child>,
    pid: u32,
    /// Init reads from it until the end.
    _lifeline: ChildStdin,
    /// As in [`KINDS`].
    files: Vec<(File, CloneFlags)>,
}

impl Namespaces {
    /// Makes them, with a loopback that is up and this host name.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let all = KINDS
            .iter()
            .fold(CloneFlags::empty(), |all, (_, flag)| all | *flag);
        let mut init = on_a_thread(|| {
            unshare(all).context("no new namespaces")?;
            sethostname(name)?;
            Command::new("bash")
                .args(["-c", INIT])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("bash does not start")
        })?;
        let lifeline = init.stdin.take().context("init has no input")?;
        let mut line = String::new();
        BufReader::new(init.stdout.take().context("init has no output")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            bail!(
                "the namespaces of {name} could not be set up: {:?}",
                init.wait()?
            );
        }
        let files = KINDS
            .iter()
            .map(|(kind, flag)| Ok((File::open(format!("/proc/{}/ns/{kind}", init.id()))?, *flag)))
            .collect::<Result<_>>()?;
        Ok(Self {
            pid: init.id(),
            init: Some(init),
            _lifeline: lifeline,
            files,
        })
    }

    /// Does something on a thread inside: processes it starts and sockets it makes are inside too.
    pub(crate) fn enter<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_a_thread(|| {
            // A thread that shares its root with others may not change its mount namespace.
            unshare(CloneFlags::CLONE_FS)?;
            for (file, flag) in &self.files {
                setns(file.as_fd(), *flag).context("cannot enter a namespace")?;
            }
            what()
        })
    }

    /// Does something on a thread that is inside for the network only, and sees the processes and
    /// files of the test.
    pub(crate) fn enter_network<T: Send>(
        &self,
        what: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        on_a_thread(|| {
            let (network, flag) = &self.files[0];
            setns(network.as_fd(), *flag).context("cannot enter a namespace")?;
            what()
        })
    }

    /// The path by which others find the network namespace.
    pub(crate) fn network_path(&self) -> String {
        format!("/proc/{}/ns/net", self.pid)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // Init is only gone when the processes in its namespace have been waited for by their
        // parents, of whom the caller may be one: so not here.
        if let Some(mut init) = self.init.take() {
            let _ = init.kill();
            thread::spawn(move || init.wait());
        }
    }
}

/// Runs something on a thread of its own, so that what it changes about itself ends with it.
fn on_a_thread<T: Send>(what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| match scope.spawn(what).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
