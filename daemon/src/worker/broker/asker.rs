//! Who asks, and what that plugin may.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use mainstay_protocol::{Load, ProbeRules};

/// A plugin of the load in force.
#[derive(Debug)]
pub(super) struct Asker {
    /// `permissions.probe`.
    pub(super) probe: ProbeRules,
    /// What its checks look at, which needs no grant.
    targets: BTreeSet<SocketAddr>,
}

impl Asker {
    /// All plugins of a load, by name. One whose grant cannot be read has loaded nowhere, and is granted nothing here.
    pub(super) fn all(load: &Load) -> BTreeMap<String, Arc<Self>> {
        let plugins = load.plugins.iter().map(|spec| {
            let checks = load.checks.iter().filter(|check| check.plugin == spec.name);
            let asker = Self {
                probe: ProbeRules::new(spec.grants.probe.clone()).unwrap_or_default(),
                targets: checks.filter_map(|check| check.target).collect(),
            };
            (spec.name.clone(), Arc::new(asker))
        });
        plugins.collect()
    }

    /// Whether it may connect there. The address is [canonical](mainstay_protocol::canonical).
    pub(super) fn may_reach(&self, to: SocketAddr) -> bool {
        self.targets.contains(&to) || self.probe.allows(to.ip(), to.port())
    }
}
