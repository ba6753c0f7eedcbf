//! Who asks, and what that plugin may.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use mainstay_protocol::{HttpGrant, Load, Origin, ProbeRules, StateGrant, UrlHosts};

/// A plugin of the load in force.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// Its name.
    pub(super) plugin: String,
    /// `permissions.probe`.
    pub(super) probe: ProbeRules,
    /// `permissions.state`.
    pub(super) state: Option<StateGrant>,
    /// `permissions.routers`.
    pub(super) routers: bool,
    /// `permissions.fifo`.
    pub(super) fifo: Vec<PathBuf>,
    /// `permissions.units`.
    pub(super) units: Vec<String>,
    /// What its checks look at, which needs no grant.
    pub(super) targets: BTreeSet<SocketAddr>,
    /// `permissions.http`.
    pub(super) http: HttpGrant,
    /// Whether a URL that it may fetch names its host.
    pub(super) looks_names_up: bool,
}

impl Asker {
    /// All plugins of a load, by name. One whose grant cannot be read has loaded nowhere, and is granted nothing here.
    pub(super) fn all(load: &Load) -> BTreeMap<String, Arc<Self>> {
        let plugins = load.plugins.iter().map(|spec| {
            let checks = load.checks.iter().filter(|check| check.plugin == spec.name);
            let urls = [&spec.grants.http, &spec.grants.wasi_http];
            let mut prefixes = urls.into_iter().flat_map(|grant| &grant.urls);
            let asker = Self {
                looks_names_up: prefixes.any(|url| matches!(url.hosts(), UrlHosts::Name(_))),
                http: spec.grants.http.clone(),
                probe: ProbeRules::new(spec.grants.probe.clone()).unwrap_or_default(),
                plugin: spec.name.clone(),
                state: spec.grants.state.clone(),
                routers: spec.grants.routers,
                fifo: spec.grants.fifo.clone(),
                units: spec.grants.units.clone(),
                targets: checks.filter_map(|check| check.target).collect(),
            };
            (spec.name.clone(), Arc::new(asker))
        });
        plugins.collect()
    }

    /// Whether it may connect there from there. The address is [canonical](mainstay_protocol::canonical).
    pub(super) fn may_reach(&self, to: SocketAddr, origin: &Origin) -> bool {
        let target = self.targets.contains(&to);
        let probed = target || self.probe.allows(to.ip(), to.port());
        let fetched = target || self.http.urls.iter().any(|url| url.reaches(to));
        probed && self.probe.allows_origin(origin) || fetched && self.http.allows_origin(origin)
    }

    /// Whether it may send ICMP echoes there from there. The address is canonical.
    pub(super) fn may_echo(&self, to: IpAddr, origin: &Origin) -> bool {
        let target = self.targets.iter().any(|target| target.ip() == to);
        (target || self.probe.allows_echo(to)) && self.probe.allows_origin(origin)
    }
}
