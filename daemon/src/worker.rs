//! The plugin worker as the daemon sees it: a process that it starts and replaces, never waits for,
//! and trusts with nothing but the checks' verdicts.
//!
//! [`Supervisor`] keeps one running; [`load_once`] and [`run_once`] are for the commands that need a
//! worker for a moment.

mod backoff;
mod broker;
mod compile;
mod connection;
mod in_flight;
mod once;
mod process;
mod pulse;
mod relay;
mod source;
mod start;
mod supervisor;
mod suspects;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use mainstay_protocol::Wish;
use serde::{Deserialize, Serialize};

pub(crate) use broker::{Means, Routers};
pub(crate) use once::{compile_once, examine_once, load_once, run_once};
pub(crate) use process::find as find_program;
pub(crate) use source::Source;
pub(crate) use start::LoadError;
pub(crate) use supervisor::{Prepared, Supervisor};

/// What people see of the worker.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct WorkerStatus {
    /// What it is doing.
    pub(crate) state: WorkerState,
    /// Its process id, as it says itself.
    pub(crate) pid: Option<u32>,
    /// How often another had to be started since the daemon began.
    pub(crate) restarts: u64,
    /// How the last one that had to be replaced ended.
    pub(crate) last_end: Option<String>,
    /// Plugins that rest because workers died of them.
    pub(crate) quarantined: BTreeSet<String>,
    /// The plugins of the configuration, by name.
    pub(crate) plugins: BTreeMap<String, ServedPlugin>,
}

/// A plugin that a worker serves.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ServedPlugin {
    /// Where its component was read.
    pub(crate) file: PathBuf,
    /// Lower-case hex digest of what was read there.
    pub(crate) sha256: String,
    /// Its own version, if it says one.
    pub(crate) version: Option<String>,
    /// Version of the contract that it was built against.
    pub(crate) api: Option<String>,
    /// `check`, `hook`: what it exports.
    pub(crate) roles: Vec<String>,
    /// What it asks for and is not granted.
    pub(crate) lacks: Vec<Wish>,
    /// Why a run of it gave no answer the last time that one did not.
    pub(crate) last_error: Option<String>,
}

/// What the worker is doing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkerState {
    /// There is nothing for it to do.
    #[default]
    Idle,
    /// It loads the plugins.
    Starting,
    /// It runs the checks.
    Running,
    /// It ended, and is started again after a pause.
    Waiting,
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Waiting => "waiting",
        })
    }
}
