//! A single thread that stands still while the others of its process go on.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A thread held by its tracer until this is dropped or its process is killed.
pub struct Stalled {
    release: Option<mpsc::Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

impl Stalled {
    /// Stops the thread of that name in a process.
    ///
    /// # Errors
    /// When there is no such thread, or it may not be traced.
    pub fn thread(process: Pid, name: &str) -> Result<Self> {
        let id = thread_id(process, name)?;
        let (release, released) = mpsc::channel();
        let (stopped, result) = mpsc::channel();
        // Whoever seizes is the tracer, so one thread does all of it.
        let tracer = thread::spawn(move || {
            let seized = stop(id);
            let held = seized.is_ok();
            if stopped.send(seized).is_ok() && held {
                hold(id, &released);
            }
        });
        result.recv()??;
        Ok(Self {
            release: Some(release),
            tracer: Some(tracer),
        })
    }
}

impl Drop for Stalled {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}

/// Keeps a stopped thread until it is released or has been killed: it is not gone, and neither is
/// its process, before its tracer has taken note.
fn hold(thread: Pid, released: &mpsc::Receiver<()>) {
    const LOOK: Duration = Duration::from_millis(20);
    while released.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        match waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let _ = ptrace::detach(thread, None);
}

fn stop(thread: Pid) -> Result<()> {
    ptrace::seize(thread, Options::empty()).context("the thread may not be traced")?;
    ptrace::interrupt(thread)?;
    waitpid(thread, Some(WaitPidFlag::__WALL))?;
    Ok(())
}

/// The number of a thread by its name.
fn thread_id(process: Pid, name: &str) -> Result<Pid> {
    let mut names = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = entry?.path();
        let this = fs::read_to_string(path.join("comm"))?.trim_end().to_owned();
        if this == name {
            let number = path
                .file_name()
                .and_then(|number| number.to_str())
                .context("a thread without number")?;
            return Ok(Pid::from_raw(number.parse()?));
        }
        names.push(this);
    }
    bail!("process {process} has no thread {name} among {names:?}")
}
