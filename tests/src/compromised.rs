//! Whom a worker that was taken over attacks, and how it tells what came of that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// A daemon, and where its files are.
#[derive(Clone, Debug)]
pub struct Victim {
    /// Its process id.
    pub pid: i32,
    /// `--config`.
    pub configuration: PathBuf,
    /// `--runtime-dir`, with the control socket.
    pub runtime: PathBuf,
    /// `--state-dir`, with the key of the cache.
    pub state: PathBuf,
    /// `--cache-dir`.
    pub cache: PathBuf,
}

impl Victim {
    /// The daemon with this process id, which tells everybody on its command line where its files
    /// are.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
        let option = |name: &str, default: &str| {
            let mut arguments = line.split('\0');
            let found = arguments.find_map(|argument| argument.strip_prefix(name));
            PathBuf::from(match found {
                Some("") => arguments.next().unwrap_or(default),
                Some(value) => value.strip_prefix('=').unwrap_or(value),
                None => default,
            })
        };
        Ok(Self {
            pid: i32::try_from(pid).context("no process id")?,
            configuration: option("--config", "/etc/mainstay/mainstay.toml"),
            runtime: option("--runtime-dir", "/run/mainstay"),
            state: option("--state-dir", "/var/lib/mainstay"),
            cache: option("--cache-dir", "/var/cache/mainstay"),
        })
    }
}

/// What came of the attacks of one process, from what it has written.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What was refused, and how: an errno, or at which number.
    pub refused: BTreeMap<String, String>,
    /// What was not, and what came of it.
    pub succeeded: BTreeMap<String, String>,
    /// What the system lacks of the confinement.
    pub lacking: Vec<String>,
    /// Whether it came to its end.
    pub over: bool,
}

impl Told {
    /// Reads a log; `by` is `worker` or `compiler`.
    pub fn of(log: &str, by: &str) -> Self {
        let mut told = Self::default();
        let start = format!("{by} attack ");
        for (_, line) in log.lines().filter_map(|line| line.split_once(&start)) {
            match line.split_once(": ") {
                Some(("over", _)) => told.over = true,
                Some(("lacking", what)) => told.lacking.push(what.to_owned()),
                Some(("refused", list)) => {
                    let pairs = list.split_whitespace();
                    told.refused.extend(pairs.filter_map(|pair| {
                        let (name, how) = pair.split_once('=')?;
                        Some((name.to_owned(), how.to_owned()))
                    }));
                }
                Some(("successful", what)) => {
                    let (name, how) = what.split_once(' ').unwrap_or((what, ""));
                    told.succeeded.insert(name.to_owned(), how.to_owned());
                }
                _ => {}
            }
        }
        told
    }
}
