//! The worker as a child process.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::suspects::Death;
use super::words;
use crate::control::Workers;

/// The executable's name.
const NAME: &str = "mainstay-worker";

/// The descriptor that is the connection, in the child.
const CHILD_FD: i32 = 3;

/// Children at a time. One is at work, and another one while a configuration is loaded; what is over
/// that was killed and is still there, since the kernel holds it or forbids us to kill it.
const MOST: usize = 8;

/// How long a killed child may take to be gone.
const REAP_LIMIT: Duration = Duration::from_secs(1);

/// Finds the worker's executable: the given one, or the one beside this executable, in
/// `../lib/mainstay` from there, or in `/usr/lib/mainstay`.
///
/// # Errors
/// When there is none; the message names the places.
pub(crate) fn find(given: Option<&Path>) -> io::Result<PathBuf> {
    let candidates = match given {
        Some(given) => vec![given.to_owned()],
        None => {
            let own = env::current_exe()?;
            let beside = own.parent().unwrap_or_else(|| Path::new("/"));
            vec![
                beside.join(NAME),
                beside.join("../lib/mainstay").join(NAME),
                Path::new("/usr/lib/mainstay").join(NAME),
            ]
        }
    };
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return fs::canonicalize(found);
    }
    let places: Vec<String> = candidates
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "there is no plugin worker at {}: name it with --worker",
            places.join(" or ")
        ),
    ))
}

/// A child, killed when this is dropped. It leads a process group of its own, which is killed with
/// it.
#[derive(Debug)]
pub(super) struct Process {
    child: Option<Child>,
    /// Reads what it writes to standard error.
    words: Option<JoinHandle<()>>,
    living: Workers,
}

impl Process {
    /// Starts the worker with the other end of the answered stream. It inherits that stream, but no
    /// other descriptor, no environment and no capability beyond what root needs to become another
    /// user; what it writes to standard error is read here.
    ///
    /// # Errors
    /// Whatever keeps the executable from being started; [`io::ErrorKind::ResourceBusy`] when eight
    /// are there already.
    pub(super) async fn spawn(
        program: &Path,
        arguments: &[String],
        living: Workers,
    ) -> io::Result<(Self, UnixStream)> {
        let there = lock(&living).len();
        if there >= MOST {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{there} plugin workers that were to end are still there"),
            ));
        }
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command
            .arg("--fd")
            .arg(CHILD_FD.to_string())
            .args(arguments)
            .env_clear()
            .envs(env::var_os("RUST_BACKTRACE").map(|value| ("RUST_BACKTRACE", value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .fd_mappings(vec![FdMapping {
                parent_fd: OwnedFd::from(theirs),
                child_fd: CHILD_FD,
            }])
            .map_err(io::Error::other)?;
        // Privileges belong to threads: this one gives up its own, and the child inherits the rest.
        let (started, child) = oneshot::channel();
        let list = Arc::clone(&living);
        thread::Builder::new()
            .name("spawn".to_owned())
            .spawn(move || {
                let spawned = give_up_privileges().and_then(|()| command.spawn());
                if let Ok(child) = &spawned {
                    lock(&list).insert(child.id());
                }
                if let Err(Ok(child)) = started.send(spawned) {
                    // Nobody waits for it any more.
                    kill(&child);
                    reap(child, list, drop);
                }
            })?;
        let mut child = child.await.map_err(io::Error::other)??;
        let (pid, pipe) = (child.id(), child.stderr.take());
        let mut process = Self {
            child: Some(child),
            words: None,
            living,
        };
        process.words = pipe.map(|pipe| words::relay(pid, pipe)).transpose()?;
        Ok((process, ours))
    }

    /// Kills what is left of it. Answers with how it ended, unless that could not be learnt in
    /// time.
    pub(super) async fn end(mut self) -> Option<ExitStatus> {
        let child = self.child.take()?;
        let pid = child.id();
        let (ended, status) = oneshot::channel();
        kill(&child);
        reap(child, Arc::clone(&self.living), move |status| {
            let _ = ended.send(status);
        });
        let status = tokio::time::timeout(REAP_LIMIT, status).await;
        if let Some(words) = self.words.take() {
            // Its last words often say why it ended.
            let _ = tokio::time::timeout(REAP_LIMIT, words).await;
        }
        if status.is_err() {
            tracing::warn!(pid, "a plugin worker that was to end is still there");
        }
        status.ok()?.ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            kill(&child);
            reap(child, Arc::clone(&self.living), drop);
        }
    }
}

/// What an exit status says about whose fault it was.
pub(super) fn death(status: ExitStatus) -> Death {
    let sent = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];
    match status.signal() {
        Some(signal) if sent.iter().any(|sent| sent.as_raw() == signal) => Death::Killed,
        Some(_) | None => Death::Crashed,
    }
}

/// What a worker started by root keeps until it has become somebody else.
const OF_ROOT: CapabilitySet = CapabilitySet::SETGID
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP);

fn give_up_privileges() -> io::Result<()> {
    // With this, not even root gets more at exec than is permitted now.
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let kept = if geteuid().is_root() {
        capabilities(None)?.permitted.intersection(OF_ROOT)
    } else {
        CapabilitySet::empty()
    };
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    // Ours are closed at exec as it is; those that we were started with need not be.
    close_fds::set_fds_cloexec(CHILD_FD, &[]);
    Ok(())
}

/// Kills the whole group. Its number is not another's, since the child has not been reaped.
fn kill(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Without CAP_KILL not even root may kill one that became another user: such a one ends
        // when it sees that its connection is closed, unless it is stopped.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Waits for a killed child on a thread, since the kernel may take its time.
fn reap(mut child: Child, living: Workers, tell: impl FnOnce(ExitStatus) + Send + 'static) {
    let thread = thread::Builder::new().name("reap".to_owned());
    let reaping = thread.spawn(move || {
        let status = child.wait();
        lock(&living).remove(&child.id());
        if let Ok(status) = status {
            tell(status);
        }
    });
    if let Err(error) = reaping {
        tracing::warn!(%error, "a plugin worker that ended stays a zombie");
    }
}

fn lock(living: &Mutex<BTreeSet<u32>>) -> MutexGuard<'_, BTreeSet<u32>> {
    living.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
