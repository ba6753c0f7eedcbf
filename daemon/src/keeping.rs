//! What plugins have kept for them (`state` of the contract): in memory, across reloads and the loss of a worker, and on
//! disk where the grant says so.
//!
//! Each plugin has a store of its own, under its name, with a quota. Files are written by a task of their own, at most
//! once a second each, and the disk is waited for on the blocking pool: a plugin that writes as fast as it can costs one
//! small file a second.

mod file;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use mainstay_protocol::{Load, StateAnswer, StateCall, StateGrant};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::config::plugin_name;
pub(crate) use store::Store;

/// From one write of files to the next, at least.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);
/// The same at most, after writes that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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
    /// The last write failed.
    failing: bool,
}

impl Kept {
    /// Notes what came of a write, and tells people when it is something else than the last time.
    fn written(&mut self, plugin: &str, result: io::Result<()>) {
        let failed = std::mem::replace(&mut self.failing, result.is_err());
        self.dirty |= self.failing;
        match result {
            Err(error) if !failed => {
                tracing::error!(plugin, %error, "the state of a plugin is not on disk: it is tried again");
            }
            Ok(()) if failed => tracing::info!(plugin, "the state of a plugin is on disk again"),
            _ => {}
        }
    }
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

    /// Writes what has changed, with at least this pause from one time to the next, for as long as it is polled. What
    /// the disk did not take is tried again, after twice the pause each time, up to a minute.
    pub(crate) async fn write_changes(&self, pause: Duration) {
        let mut next = pause;
        loop {
            self.0.changed.notified().await;
            let begin = Instant::now();
            next = match self.flush().await {
                true => pause,
                false => {
                    self.0.changed.notify_one();
                    (2 * next).min(LONGEST_PAUSE.max(pause))
                }
            };
            tokio::time::sleep_until(begin + next).await;
        }
    }

    /// Writes what has changed, now; whether all of it is on disk. Of a plugin whose state cannot be written the log
    /// says so once, and once that it can be again.
    pub(crate) async fn flush(&self) -> bool {
        let Some(directory) = self.0.directory.clone() else {
            return true;
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
        let names: Vec<String> = changed.iter().map(|(plugin, _)| plugin.clone()).collect();
        let writing = spawn_blocking(move || {
            let write = |(plugin, store): &(String, Store)| file::write(&directory, plugin, store);
            changed.iter().map(write).collect::<Vec<_>>()
        });
        let written = writing.await.unwrap_or_else(|error| {
            let failed = || Err(io::Error::other(error.to_string()));
            names.iter().map(|_| failed()).collect()
        });
        let mut all = true;
        let mut stores = self.stores();
        for (plugin, result) in names.iter().zip(written) {
            all &= result.is_ok();
            if let Some(kept) = stores.get_mut(plugin) {
                kept.written(plugin, result);
            }
        }
        all
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
            ..Kept::default()
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
