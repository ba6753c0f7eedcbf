//! What is to be loaded, and from which files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use mainstay_protocol::Load;

/// Plugins with their uses, and where their components are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// For the worker.
    pub(crate) load: Arc<Load>,
    /// The components, by their digests.
    pub(crate) components: BTreeMap<String, ComponentFile>,
}

/// A component's file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ComponentFile {
    /// Where it is, as an absolute path.
    pub(crate) path: PathBuf,
    /// Whether the configuration names its digest, so that no other file will do.
    pub(crate) pinned: bool,
}

impl Plan {
    /// The load without some plugins, their checks and their hooks.
    pub(crate) fn load_without(&self, plugins: &BTreeSet<String>) -> Arc<Load> {
        if plugins.is_empty() {
            return Arc::clone(&self.load);
        }
        let mut load = Load::clone(&self.load);
        load.plugins.retain(|spec| !plugins.contains(&spec.name));
        load.checks.retain(|spec| !plugins.contains(&spec.plugin));
        load.hooks.retain(|spec| !plugins.contains(&spec.plugin));
        Arc::new(load)
    }
}
