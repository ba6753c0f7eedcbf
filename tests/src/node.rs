//! A host with a VRRP daemon on it, whichever implementation that is.

use std::fmt;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::lab::Host;
use crate::process::Process;
use crate::{keepalived, mainstay};

/// Whose daemon it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Implementation {
    /// The daemon of this project.
    Mainstay,
    /// The one that it replaces, as Debian packages it.
    Keepalived,
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mainstay => "mainstay",
            Self::Keepalived => "keepalived",
        })
    }
}

/// What both implementations are told of a virtual router, each in its own words.
#[derive(Clone, Debug)]
pub struct Router {
    /// Priority, 1 to 254.
    pub priority: u8,
    /// 2 or 3.
    pub version: u8,
    /// VRID.
    pub id: u8,
    /// Advertisement interval.
    pub interval: Duration,
    /// Password of version 2.
    pub password: Option<&'static str>,
    /// Whether it takes over from a router of lower priority.
    pub preempt: bool,
    /// Virtual addresses.
    pub addresses: Vec<String>,
    /// The check whether nginx runs, every so often.
    pub nginx: Option<NginxCheck>,
}

/// The check of the introduction: is nginx running?
#[derive(Clone, Copy, Debug)]
pub struct NginxCheck {
    /// From one run to the next.
    pub interval: Duration,
    /// Added to the priority; without one, the check is a condition.
    pub weight: Option<i16>,
    /// For how long a report counts, where that is not the default; Mainstay only.
    pub stale_after: Option<Duration>,
}

impl Router {
    /// Version 3 at 100 ms with one address: what a scenario uses unless it is about something else.
    pub fn fast(priority: u8) -> Self {
        Self {
            priority,
            version: 3,
            id: 51,
            interval: Duration::from_millis(100),
            password: None,
            preempt: true,
            addresses: vec![format!("{VIRTUAL}/24")],
            nginx: None,
        }
    }

    /// The router of the keepalived introduction: version 2, one second, a password.
    pub fn introduction(priority: u8) -> Self {
        Self {
            version: 2,
            interval: Duration::from_secs(1),
            password: Some("1234"),
            ..Self::fast(priority)
        }
    }

    /// How long a backup with this configuration waits for an advertisement before it takes over
    /// (RFC 9568 section 6.1, RFC 3768 section 6.1).
    pub fn down_interval(&self) -> Duration {
        3 * self.interval + self.skew()
    }

    /// How long it waits after the active router has announced its stop.
    pub fn skew(&self) -> Duration {
        let unit = if self.version == 2 {
            Duration::from_secs(1)
        } else {
            self.interval
        };
        unit * (256 - u32::from(self.priority)) / 256
    }
}

/// The virtual address of every scenario.
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 100);

/// How long a stop may take at most: a node that stops waits for its successor, but not for ever.
const STOP: Duration = Duration::from_secs(30);

/// A host, its daemon and the daemon's configuration.
pub struct Node {
    process: Option<Process>,
    host: Host,
    implementation: Implementation,
    /// Whether its log is not for everybody to see in the end.
    quiet: bool,
}

impl Node {
    /// Takes a host and writes the configuration; nothing runs yet.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn new(host: Host, implementation: Implementation, router: &Router) -> Result<Self> {
        let node = Self {
            host,
            implementation,
            process: None,
            quiet: false,
        };
        node.configure(&match implementation {
            Implementation::Mainstay => mainstay::configuration(router),
            Implementation::Keepalived => keepalived::configuration(node.host.name(), router),
        })?;
        Ok(node)
    }

    /// As [`Self::new`], for who shows the log himself when it matters.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn quiet(host: Host, implementation: Implementation, router: &Router) -> Result<Self> {
        let mut node = Self::new(host, implementation, router)?;
        node.quiet = true;
        Ok(node)
    }

    /// Replaces the configuration file; the daemon is not told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, text: &str) -> Result<()> {
        fs::write(self.configuration(), text).context("configuration not written")
    }

    /// The configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.host.files().join("configuration")
    }

    /// Where what the daemon prints goes.
    pub fn log_file(&self) -> PathBuf {
        self.host.files().join("log")
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whose daemon it runs.
    pub fn implementation(&self) -> Implementation {
        self.implementation
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// When it cannot be started; not when it ends by itself soon after.
    pub fn start(&mut self) -> Result<()> {
        self.process = Some(match self.implementation {
            Implementation::Mainstay => mainstay::run(self)?,
            Implementation::Keepalived => keepalived::run(self)?,
        });
        Ok(())
    }

    /// Asks it to end and waits for that.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.ask_to_stop()?;
        process.wait(STOP)?;
        Ok(())
    }

    /// Asks it to end, and leaves the waiting to the caller.
    ///
    /// # Errors
    /// When it does not run.
    pub fn ask_to_stop(&mut self) -> Result<Process> {
        let process = self.process.take().context("the daemon was not started")?;
        process.signal(Signal::SIGTERM)?;
        Ok(process)
    }

    /// Kills the daemon and all its processes at once; its addresses stay.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process()?.kill_tree()?;
        self.process = None;
        Ok(())
    }

    /// The running daemon.
    ///
    /// # Errors
    /// When it was not started.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the daemon was not started")
    }

    /// Complains when the daemon was started and has ended by itself.
    ///
    /// # Errors
    /// How it ended.
    pub fn check_alive(&self) -> Result<()> {
        let ended = self
            .process
            .as_ref()
            .map(Process::ended)
            .transpose()?
            .flatten();
        match ended {
            Some(status) => bail!(
                "{} on {} ended by itself: {status}",
                self.implementation,
                self.host.name()
            ),
            None => Ok(()),
        }
    }

    /// What it has printed, over all its starts.
    ///
    /// # Errors
    /// When it has not been started.
    pub fn log(&self) -> Result<String> {
        let file = self.log_file();
        ensure!(
            fs::metadata(&file)?.is_file(),
            "{} is no file",
            file.display()
        );
        Ok(String::from_utf8_lossy(&fs::read(file)?).into_owned())
    }

    /// Whether it holds an address.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn holds(&self, address: Ipv4Addr) -> Result<bool> {
        self.host.holds(address)
    }
}

impl Drop for Node {
    /// What the daemon had to say belongs to the output of the test, which is shown when it fails.
    fn drop(&mut self) {
        if let (false, Ok(log)) = (self.quiet, self.log()) {
            eprintln!(
                "--- {} on {}:\n{log}---",
                self.implementation,
                self.host.name()
            );
        }
    }
}
