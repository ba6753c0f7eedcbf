//! A plugin as the worker is told of it: what it may do, what it may use.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::question::Origin;
use crate::secret::Secret;
use crate::url::UrlPrefix;

/// One component to load.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PluginSpec {
    /// Name in the configuration; unique among the plugins of one [`Load`](crate::Load).
    pub name: String,
    /// Which [`Code`](crate::ToWorker::Code) it runs: the lower-case hex digest of its component.
    pub code: String,
    /// What the plugin may do; everything absent is denied.
    pub grants: Grants,
    /// What one run may use.
    pub limits: Limits,
    /// The secrets that it is granted, with their values.
    pub secrets: Vec<Secret>,
}

/// What a plugin may do. The default denies everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Grants {
    /// `permissions.process`.
    pub process: ProcessGrant,
    /// `permissions.probe`.
    pub probe: ProbeGrant,
    /// `permissions.http`.
    pub http: HttpGrant,
    /// `permissions.wasi-http`.
    pub wasi_http: HttpGrant,
    /// `permissions.wasi-sockets`.
    pub wasi_sockets: ProbeGrant,
    /// `permissions.files`: directories that may be read with all that is in them; absolute paths.
    pub files: Vec<PathBuf>,
    /// `permissions.secrets`: what it may ask for; the values are in [`PluginSpec::secrets`].
    pub secrets: Vec<SecretGrant>,
    /// `permissions.state`.
    pub state: Option<StateGrant>,
    /// `permissions.routers`: whether it may read the state of the virtual routers.
    pub routers: bool,
    /// `permissions.services`: whether it may read the state of the virtual services.
    pub services: bool,
    /// `permissions.units`: systemd units whose state it may ask for.
    pub units: Vec<String>,
    /// `permissions.fifo`: named pipes that it may write to; absolute paths.
    pub fifo: Vec<PathBuf>,
}

/// A secret that a plugin may ask for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SecretGrant {
    /// Its name, and that of the systemd credential unless there is a file.
    pub name: String,
    /// The file that holds it.
    pub file: Option<PathBuf>,
}

/// How much a plugin may have kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StateGrant {
    /// Keys and values together, in bytes.
    pub size: u64,
    /// Whether it outlives the daemon.
    pub persist: bool,
}

impl Default for StateGrant {
    fn default() -> Self {
        Self {
            size: 64 << 10,
            persist: false,
        }
    }
}

/// Which processes a plugin may see.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProcessGrant {
    /// Names (`/proc/PID/comm`) that may be asked for; they also bound what `find` lists.
    pub names: Vec<String>,
    /// Commands (base name of the first argument) that may be asked for.
    pub commands: Vec<String>,
    /// pid files that may be read; absolute paths.
    pub pid_files: Vec<PathBuf>,
    /// systemd units whose processes may be counted.
    pub units: Vec<String>,
    /// Whether command lines are shown.
    pub command_line: bool,
}

/// Where a plugin may connect to, and how. Address and port must both match.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProbeGrant {
    /// Addresses or prefixes in CIDR form.
    pub addresses: Vec<String>,
    /// Ports.
    pub ports: Vec<u16>,
    /// Source addresses that may be chosen.
    pub sources: Vec<IpAddr>,
    /// Marks that may be chosen.
    pub fwmarks: Vec<u32>,
    /// Whether the addresses may be sent ICMP echoes.
    pub icmp: bool,
    /// Whether certificates may go unverified.
    pub unverified_tls: bool,
}

/// What a plugin may fetch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HttpGrant {
    /// What the URLs begin with.
    pub urls: Vec<UrlPrefix>,
    /// Bytes of a response's body that are kept, at most.
    pub max_body: u32,
    /// Whether certificates may go unverified.
    pub unverified_tls: bool,
    /// Source addresses that may be chosen.
    pub sources: Vec<IpAddr>,
    /// Marks that may be chosen.
    pub fwmarks: Vec<u32>,
}

impl HttpGrant {
    /// Bytes of a body that are kept where no grant says otherwise.
    pub const BODY: u32 = 64 << 10;

    /// Whether a request may come from there.
    #[must_use]
    pub fn allows_origin(&self, origin: &Origin) -> bool {
        origin.is_among(&self.sources, &self.fwmarks)
    }
}

impl Default for HttpGrant {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            max_body: Self::BODY,
            unverified_tls: false,
            sources: Vec::new(),
            fwmarks: Vec::new(),
        }
    }
}

/// The operator's ceiling for one run of a plugin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Summed linear memories and tables of one instance, in bytes.
    pub memory: u64,
    /// Lines a minute in the log; more are counted and dropped.
    pub log_lines_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            log_lines_per_minute: 60,
        }
    }
}
