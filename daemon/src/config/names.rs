//! What may stand only once: names, and other identities.

use std::collections::BTreeMap;

use super::problem::Place;
use super::table::Spot;

/// Identities of one kind, with the place of their first use.
#[derive(Debug)]
pub(super) struct Unique<K>(BTreeMap<K, Place>);

impl<K> Default for Unique<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Unique<K> {
    /// Takes an identity; reports it when it is taken already. `what` names it for people.
    pub(super) fn claim(&mut self, key: K, spot: &Spot<'_>, what: &str, help: &str) -> bool {
        if let Some(first) = self.0.get(&key) {
            spot.error(
                format!("{what} is used twice, first at {first}"),
                Some(help.to_owned()),
            );
            return false;
        }
        self.0.insert(key, spot.place());
        true
    }
}
