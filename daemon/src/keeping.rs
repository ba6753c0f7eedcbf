//! What plugins have kept for them (`state` of the contract): in memory, across reloads and the loss of a worker, and on
//! disk where the grant says so.
//!
//! Each plugin has a store of its own, under its name, with a quota. Files are written by a task of their own, at most
//! once a second each, and the disk is waited for on the blocking pool: a plugin that writes as fast as it can costs one
//! small file a second.

mod file;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_protocol::{Load, StateAnswer, StateCall, StateGrant};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::config::plugin_name;
pub(crate) use store::Store;

/// From one write of files to the next, at least.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// The stores of all plugins. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Keeping(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Where the files are; without it nothing outlives the process.
    directory: Option<PathBuf>,
    stores: Mutex<BTreeMap<String, Kept>>,
    /// There is something to write.
    changed: Notify,
    /// Held while files are written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    store: Store,
    /// Changed since it was written.
    dirty: bool,
}

impl Keeping {
    /// Stores whose files are in this directory, which is made when the first is written.
    pub(crate) fn in_directory(directory: PathBuf) -> Self {
        Self(Arc::new(Inner {
            directory: Some(directory),
            ..Inner::default()
        }))
    }

    /// Does what a plugin asks for, within its grant. What is on disk is read first, once.
    pub(crate) async fn answer(
        &self,
        plugin: &str,
        grant: &StateGrant,
        call: StateCall,
    ) -> StateAnswer {
        let plugin = plugin_name(plugin);
        if grant.persist {
            self.read(plugin).await;
        }
        let mut stores = self.stores();
        let kept = stores.entry(plugin.to_owned()).or_default();
        let (answer, changed) = kept.store.perform(call, grant.size);
        if changed && grant.persist {
            kept.dirty = true;
            self.0.changed.notify_one();
        }
        answer
    }

    /// A new configuration is in force: what plugins had that may keep nothing now is dropped from memory. Files stay.
    pub(crate) fn retain(&self, load: &Load) {
        let granted: BTreeSet<&str> = load
            .plugins
            .iter()
            .filter(|spec| spec.grants.state.is_some())
            .map(|spec| plugin_name(&spec.name))
            .collect();
        // What is not written yet is not forgotten.
        self.stores()
            .retain(|plugin, kept| kept.dirty || granted.contains(plugin.as_str()));
    }

    /// Writes what has changed, with at least this pause from one time to the next, for as long as it is polled.
    pub(crate) async fn write_changes(&self, pause: Duration) {
        loop {
            self.0.changed.notified().await;
            let begin = Instant::now();
            self.flush().await;
            tokio::time::sleep_until(begin + pause).await;
        }
    }

    /// Writes what has changed, now.
    pub(crate) async fn flush(&self) {
        let Some(directory) = self.0.directory.clone() else {
            return;
        };
        let _turn = self.0.writing.lock().await;
        let changed: Vec<(String, Store)> = self
            .stores()
            .iter_mut()
            .filter(|(_, kept)| kept.dirty)
            .map(|(plugin, kept)| {
                kept.dirty = false;
                (plugin.clone(), kept.store.clone())
            })
            .collect();
        let written = spawn_blocking(move || {
            let fails = |(plugin, store): &(String, Store)| {
                let result = file::write(&directory, plugin, store);
                if let Err(error) = &result {
                    tracing::error!(plugin, %error, "the state of a plugin is not on disk");
                }
                result.is_err().then(|| plugin.clone())
            };
            changed.iter().filter_map(fails).collect::<Vec<String>>()
        });
        match written.await {
            // They are tried again with the next change, and at the end.
            Ok(failed) => {
                for (plugin, kept) in self.stores().iter_mut() {
                    kept.dirty |= failed.contains(plugin);
                }
            }
            Err(error) => tracing::error!(%error, "the state of plugins is not on disk"),
        }
    }

    /// Reads the file of a plugin unless there is a store already.
    async fn read(&self, plugin: &str) {
        let Some(directory) = self.0.directory.clone() else {
            return;
        };
        if self.stores().contains_key(plugin) {
            return;
        }
        let name = plugin.to_owned();
        let read = spawn_blocking(move || file::read(&directory, &name));
        let store = match read.await {
            Ok(store) => store,
            Err(error) => {
                tracing::error!(plugin, %error, "the state of a plugin was not read");
                Store::default()
            }
        };
        // Another run may have been faster, and has gone on since.
        let kept = Kept {
            store,
            dirty: false,
        };
        self.stores().entry(plugin.to_owned()).or_insert(kept);
    }

    fn stores(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        let stores = self.0.stores.lock();
        stores.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keeping {
    /// Without what plugins keep, which is theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.stores().keys()).finish()
    }
}

#[cfg(test)]
mod tests;
