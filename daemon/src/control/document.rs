//! The document behind `mainstay status --json`.

use mainstay_core::status::Status;
use mainstay_core::time::Realtime;
use serde::{Deserialize, Serialize};

use crate::worker::{ServedPlugin, WorkerStatus};

/// Everything that `status` shows.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StatusDocument {
    /// The node's name.
    pub(crate) node: String,
    /// The daemon's version.
    pub(crate) version: String,
    /// Since the daemon began.
    pub(crate) uptime_seconds: f64,
    /// The last reload, when it was refused: what the files say is not what is in force.
    pub(crate) refused_reload: Option<RefusedReload>,
    /// Routers, checks and interfaces.
    #[serde(flatten)]
    pub(crate) engine: Status,
    /// The plugins of the configuration.
    pub(crate) plugins: Vec<PluginStatus>,
    /// The worker that runs them.
    pub(crate) worker: WorkerStatus,
    /// VRRP packets that the kernel dropped because they were not read in time.
    pub(crate) packets_dropped: u64,
    /// Log lines dropped because nobody read them in time.
    pub(crate) log_lines_dropped: u64,
}

/// A reload that changed nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RefusedReload {
    /// When.
    pub(crate) at_unix_ms: Realtime,
    /// Everything that was wrong, a line each.
    pub(crate) problems: Vec<String>,
}

/// A plugin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PluginStatus {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// What is served of it.
    #[serde(flatten)]
    pub(crate) served: ServedPlugin,
    /// `quarantined`, or what the worker is doing: `running`, `starting`, `waiting`, `idle`.
    pub(crate) worker: String,
}

impl PluginStatus {
    /// The plugins that a worker serves.
    pub(crate) fn of(worker: &WorkerStatus) -> Vec<Self> {
        let state = |name: &String| {
            if worker.quarantined.contains(name) {
                "quarantined".to_owned()
            } else {
                worker.state.to_string()
            }
        };
        let plugins = worker.plugins.iter();
        plugins
            .map(|(name, served)| Self {
                name: name.clone(),
                served: served.clone(),
                worker: state(name),
            })
            .collect()
    }
}
