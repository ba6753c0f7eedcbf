//! How many probes and requests go on at the same time, and how many files are open: bounds the worker's descriptors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::tally::lock;

/// Of all runs, at most.
const AT_ONCE: usize = 160;
/// So many of these are for plugins that have fewer than [`FEW`]: no plugin can keep others from all of them.
const RESERVED: usize = 32;
const FEW: usize = 8;

/// The places of all runs. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<HashMap<String, usize>>>);

impl Slots {
    /// A place for a plugin, named as in a load: its entries with grants of their own are one plugin. `None` when
    /// there is no room.
    pub(in crate::host) fn take(&self, entry: &str) -> Option<Slot> {
        let plugin = entry.split_once('@').map_or(entry, |(plugin, _)| plugin);
        let mut taken = lock(&self.0);
        let free = AT_ONCE.saturating_sub(taken.values().sum());
        let own = taken.get(plugin).copied().unwrap_or_default();
        if free == 0 || (free <= RESERVED && own >= FEW) {
            return None;
        }
        taken.insert(plugin.to_owned(), own + 1);
        Some(Slot {
            slots: self.clone(),
            plugin: plugin.to_owned(),
        })
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(in crate::host) struct Slot {
    slots: Slots,
    plugin: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = lock(&self.slots.0);
        match taken.get_mut(&self.plugin) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                taken.remove(&self.plugin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(slots: &Slots, plugin: &str) -> Vec<Slot> {
        std::iter::from_fn(|| slots.take(plugin)).collect()
    }

    #[test]
    fn t26_plugins_that_take_all_that_they_get_leave_some_to_others() {
        let slots = Slots::default();
        let greedy = take_all(&slots, "greedy");
        assert_eq!(greedy.len(), AT_ONCE - RESERVED);
        // As many as it likes under other names.
        assert!(slots.take("greedy@check").is_none());
        let second = take_all(&slots, "second");
        assert_eq!(second.len(), FEW);
        let third = take_all(&slots, "third");
        assert_eq!(third.len(), FEW);
        drop((greedy, second, third));
        assert!(lock(&slots.0).is_empty());
        assert_eq!(take_all(&slots, "third").len(), AT_ONCE - RESERVED);
    }

    #[test]
    fn there_is_an_end_to_the_places_of_all() {
        let slots = Slots::default();
        let plugins: Vec<String> = (0..AT_ONCE).map(|number| format!("p{number}")).collect();
        let taken: Vec<Slot> = plugins
            .iter()
            .flat_map(|plugin| take_all(&slots, plugin))
            .collect();
        assert_eq!(taken.len(), AT_ONCE);
        assert!(slots.take("another").is_none());
    }
}
