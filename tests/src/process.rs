//! Processes on a host, which end with the value that stands for them.

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Host;
use crate::wait;

/// A command to be run on a host; its working directory is `/`.
pub struct HostCommand<'a> {
    host: &'a Host,
    command: Command,
}

impl<'a> HostCommand<'a> {
    pub(crate) fn new(host: &'a Host, program: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        Self { host, command }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(mut self) -> Result<Output> {
        let command = &mut self.command;
        self.host.enter(|| {
            command
                .output()
                .with_context(|| format!("{:?} does not start", command.get_program()))
        })
    }

    /// Runs it to its end and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started, or ends with another status than 0.
    pub fn text(self) -> Result<String> {
        let name = format!("{:?}", self.command);
        let output = self.output()?;
        if !output.status.success() {
            bail!(
                "{name}: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts it; what it prints is appended to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut self, log: &Path) -> Result<Process> {
        let file = File::options().create(true).append(true).open(log)?;
        self.command.stdout(file.try_clone()?).stderr(file);
        let command = &mut self.command;
        let child = self.host.enter(|| {
            command
                .spawn()
                .with_context(|| format!("{:?} does not start", command.get_program()))
        })?;
        Ok(Process {
            child: RefCell::new(child),
            log: log.to_owned(),
        })
    }
}

/// A process that was started; dropped, it is killed.
pub struct Process {
    child: RefCell<Child>,
    log: PathBuf,
}

impl Process {
    /// Its number, as seen from outside its host.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.borrow().id().cast_signed())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("the process has ended already: {status}");
        }
        Ok(kill(self.pid(), signal)?)
    }

    /// How it ended, when it has.
    ///
    /// # Errors
    /// Those of the system call.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child.borrow_mut().try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        wait::until(limit, "a process has ended", || self.ended())
    }

    /// Kills it, children first, as if all of it had died at once: a parent's death must not be an
    /// occasion for a child to end gracefully.
    ///
    /// # Errors
    /// Those of the system calls.
    pub fn kill_tree(&self) -> Result<()> {
        for pid in descendants(self.pid())?.into_iter().rev() {
            match kill(pid, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.child.borrow_mut().wait()?;
        Ok(())
    }

    /// What it has printed so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A process and everything below it, parents first.
///
/// # Errors
/// When it has ended.
pub fn descendants(pid: Pid) -> Result<Vec<Pid>> {
    let mut all = vec![pid];
    let mut next = 0;
    while next < all.len() {
        all.extend(children(all[next])?);
        next += 1;
    }
    Ok(all)
}

/// The children of all threads of a process; none when it has ended.
///
/// # Errors
/// When proc says something that it never says.
pub fn children(pid: Pid) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Ok(found);
    };
    for thread in threads.flatten() {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for number in list.split_whitespace() {
            found.push(Pid::from_raw(number.parse()?));
        }
    }
    Ok(found)
}

/// Bytes of a process that are in memory now.
///
/// # Errors
/// When it has ended.
pub fn resident(pid: Pid) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes.context("no VmRSS")?.parse()?;
    Ok(kilobytes << 10)
}

/// The name of a process, as `ps -o comm` shows it.
///
/// # Errors
/// When it has ended.
pub fn name(pid: Pid) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{pid}/comm"))?
        .trim_end()
        .to_owned())
}
