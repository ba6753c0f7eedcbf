//! The keys and values of one plugin, within a quota. Pure.

use std::collections::BTreeMap;

use mainstay_protocol::{Blob, STATE_KEYS, StateAnswer, StateCall, is_key};
use serde::{Deserialize, Serialize};

/// What one plugin has kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Store(BTreeMap<String, Blob>);

impl Store {
    /// Does what is asked, if keys and values together have at most `size` bytes afterwards. Answers also whether
    /// anything is different now.
    pub(super) fn perform(&mut self, call: StateCall, size: u64) -> (StateAnswer, bool) {
        match call {
            StateCall::Get(key) => (StateAnswer::Value(self.0.get(&key).cloned()), false),
            StateCall::Set(key, value) => match self.put(key, value, size) {
                Some(changed) => (StateAnswer::Done, changed),
                None => (StateAnswer::QuotaExceeded, false),
            },
            StateCall::Delete(key) => (StateAnswer::Done, self.0.remove(&key).is_some()),
            StateCall::Increment(key, by) => {
                let before = match self.0.get(&key) {
                    None => Some(0),
                    Some(Blob(bytes)) => number(bytes),
                };
                let Some(before) = before else {
                    return (StateAnswer::NotANumber, false);
                };
                let sum = before.saturating_add(by);
                match self.put(key, Blob(sum.to_string().into_bytes()), size) {
                    Some(changed) => (StateAnswer::Number(sum), changed),
                    None => (StateAnswer::QuotaExceeded, false),
                }
            }
        }
    }

    /// Whether this is what [`Self::perform`] could have led to, whatever the grant: for what comes from a file.
    pub(super) fn is_possible(&self) -> bool {
        self.0.len() <= STATE_KEYS && self.0.keys().all(|key| is_key(key))
    }

    /// `None` when it does not fit; else whether it is another value than before.
    fn put(&mut self, key: String, value: Blob, size: u64) -> Option<bool> {
        // The worker has looked at the key already, but a worker can lie.
        if !is_key(&key) || (!self.0.contains_key(&key) && self.0.len() >= STATE_KEYS) {
            return None;
        }
        let others = self.0.iter().filter(|(other, _)| **other != key);
        let others: usize = others
            .map(|(key, Blob(value))| key.len() + value.len())
            .sum();
        let total = others + key.len() + value.0.len();
        if total as u64 > size {
            return None;
        }
        if self.0.get(&key) == Some(&value) {
            return Some(false);
        }
        self.0.insert(key, value);
        Some(true)
    }
}

/// Decimal text, as [`Store::perform`] writes it.
fn number(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(store: &mut Store, key: &str, value: &[u8], size: u64) -> StateAnswer {
        let call = StateCall::Set(key.to_owned(), Blob(value.to_vec()));
        store.perform(call, size).0
    }

    fn get(store: &mut Store, key: &str) -> Option<Vec<u8>> {
        match store.perform(StateCall::Get(key.to_owned()), 0) {
            (StateAnswer::Value(value), false) => value.map(|Blob(bytes)| bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_set_stays_until_it_is_deleted() {
        let mut store = Store::default();
        assert_eq!(get(&mut store, "k"), None);
        assert_eq!(set(&mut store, "k", b"\xff\0", 100), StateAnswer::Done);
        assert_eq!(get(&mut store, "k").as_deref(), Some(&b"\xff\0"[..]));
        let delete = || StateCall::Delete("k".to_owned());
        assert_eq!(store.perform(delete(), 0), (StateAnswer::Done, true));
        assert_eq!(store.perform(delete(), 0), (StateAnswer::Done, false));
        assert_eq!(get(&mut store, "k"), None);
    }

    #[test]
    fn keys_and_values_together_fit_the_size() {
        let mut store = Store::default();
        assert_eq!(set(&mut store, "ab", &[0; 8], 10), StateAnswer::Done);
        // In place of what is there.
        assert_eq!(set(&mut store, "ab", &[1; 8], 10), StateAnswer::Done);
        assert_eq!(
            set(&mut store, "ab", &[1; 9], 10),
            StateAnswer::QuotaExceeded
        );
        assert_eq!(set(&mut store, "c", &[], 10), StateAnswer::QuotaExceeded);
        assert_eq!(get(&mut store, "ab"), Some(vec![1; 8]));
        // A grant that has become smaller takes nothing away.
        assert_eq!(
            set(&mut store, "ab", &[2; 8], 9),
            StateAnswer::QuotaExceeded
        );
        assert_eq!(get(&mut store, "ab"), Some(vec![1; 8]));
    }

    #[test]
    fn only_so_many_keys_and_only_the_contracts() {
        let mut store = Store::default();
        for number in 0..STATE_KEYS {
            let key = format!("k{number}");
            assert_eq!(set(&mut store, &key, b"", 100_000), StateAnswer::Done);
        }
        assert_eq!(
            set(&mut store, "more", b"", 100_000),
            StateAnswer::QuotaExceeded
        );
        assert_eq!(set(&mut store, "k0", b"x", 100_000), StateAnswer::Done);
        let mut store = Store::default();
        for key in ["", "../x", "A", &"k".repeat(65)] {
            assert_eq!(set(&mut store, key, b"", 1000), StateAnswer::QuotaExceeded);
        }
        assert_eq!(store, Store::default());
    }

    #[test]
    fn a_number_grows_to_the_end_of_its_range() {
        let mut store = Store::default();
        let mut add = |by| {
            store
                .perform(StateCall::Increment("n".to_owned(), by), 100)
                .0
        };
        assert_eq!(add(2), StateAnswer::Number(2));
        assert_eq!(add(-5), StateAnswer::Number(-3));
        assert_eq!(add(i64::MIN), StateAnswer::Number(i64::MIN));
        assert_eq!(add(-1), StateAnswer::Number(i64::MIN));
        assert_eq!(
            get(&mut store, "n").unwrap(),
            i64::MIN.to_string().as_bytes()
        );
        set(&mut store, "n", b"seven", 100);
        let call = StateCall::Increment("n".to_owned(), 1);
        assert_eq!(store.perform(call, 100), (StateAnswer::NotANumber, false));
    }
}
