//! A plugin as the worker is told of it: what it may do, what it may use.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::question::Origin;
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
