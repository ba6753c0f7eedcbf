//! What the kernel has: interfaces and their addresses, and which of these are ours.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use crate::address::{InterfaceIndex, Prefix};
use crate::input::{Address, Link, Mark, Snapshot};

/// An address with what is known of its origin.
#[derive(Clone, Copy, Debug)]
struct Entry {
    prefix: Prefix,
    secondary: bool,
    ours: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    links: BTreeMap<InterfaceIndex, Link>,
    by_name: HashMap<String, InterfaceIndex>,
    addresses: BTreeMap<InterfaceIndex, Vec<Entry>>,
    /// What the manifest lists: an address with our mark is ours only if it is here.
    claimed: HashSet<(String, Prefix)>,
    /// What an earlier process listed, or this one has added: without marks, that is the evidence.
    added: HashSet<(String, Prefix)>,
    /// How many routers hold an address: one may let go of it while another goes on.
    holders: HashMap<(InterfaceIndex, Prefix), usize>,
}

impl Interfaces {
    /// Starts with what the manifest of an earlier process lists.
    pub(crate) fn new(manifest: Vec<(String, Prefix)>) -> Self {
        let added: HashSet<_> = manifest.into_iter().collect();
        Self {
            claimed: added.clone(),
            added,
            ..Self::default()
        }
    }

    /// The manifest lists this address from now on.
    pub(crate) fn claim(&mut self, interface: &str, prefix: Prefix) {
        self.claimed.insert((interface.to_owned(), prefix));
    }

    /// This address is about to be added by us.
    pub(crate) fn expect(&mut self, index: InterfaceIndex, prefixes: &[Prefix]) {
        let Some(link) = self.links.get(&index) else {
            return;
        };
        for prefix in prefixes {
            self.added.insert((link.name.clone(), *prefix));
        }
    }

    /// A router holds this address from now on.
    pub(crate) fn hold(&mut self, index: InterfaceIndex, prefix: Prefix) {
        *self.holders.entry((index, prefix)).or_default() += 1;
    }

    /// A router no longer holds this address.
    pub(crate) fn let_go(&mut self, index: InterfaceIndex, prefix: Prefix) {
        if let Some(holders) = self.holders.get_mut(&(index, prefix)) {
            *holders -= 1;
            if *holders == 0 {
                self.holders.remove(&(index, prefix));
            }
        }
    }

    pub(crate) fn is_held(&self, index: InterfaceIndex, prefix: Prefix) -> bool {
        self.holders.contains_key(&(index, prefix))
    }

    pub(crate) fn replace(&mut self, snapshot: Snapshot) {
        self.links.clear();
        self.by_name.clear();
        self.addresses.clear();
        for link in snapshot.links {
            self.set_link(link);
        }
        for address in snapshot.addresses {
            self.set_address(address);
        }
    }

    pub(crate) fn set_link(&mut self, link: Link) {
        if let Some(before) = self.links.get(&link.index)
            && before.name != link.name
            && self.by_name.get(&before.name) == Some(&link.index)
        {
            self.by_name.remove(&before.name);
        }
        self.by_name.insert(link.name.clone(), link.index);
        self.links.insert(link.index, link);
    }

    pub(crate) fn remove_link(&mut self, index: InterfaceIndex) {
        if let Some(link) = self.links.remove(&index)
            && self.by_name.get(&link.name) == Some(&index)
        {
            self.by_name.remove(&link.name);
        }
        self.addresses.remove(&index);
    }

    pub(crate) fn set_address(&mut self, address: Address) {
        let ours = self.is_ours(&address);
        let entries = self.addresses.entry(address.interface).or_default();
        let entry = Entry {
            prefix: address.prefix,
            secondary: address.secondary,
            ours,
        };
        match entries.iter_mut().find(|e| e.prefix == address.prefix) {
            // Evidence once seen stays: a rename does not make our address somebody else's.
            Some(known) => {
                *known = Entry {
                    ours: ours || (known.ours && address.mark != Mark::Other),
                    ..entry
                }
            }
            None => entries.push(entry),
        }
    }

    pub(crate) fn remove_address(&mut self, interface: InterfaceIndex, prefix: Prefix) {
        if let Some(entries) = self.addresses.get_mut(&interface) {
            entries.retain(|entry| entry.prefix != prefix);
        }
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.by_name
            .get(name)
            .and_then(|index| self.links.get(index))
    }

    /// The name of an interface, while it is there.
    pub(crate) fn name(&self, index: InterfaceIndex) -> Option<&str> {
        self.links.get(&index).map(|link| link.name.as_str())
    }

    pub(crate) fn has_address(&self, index: InterfaceIndex, prefix: Prefix) -> bool {
        self.entries(index).any(|entry| entry.prefix == prefix)
    }

    /// Whether the address is there and ours to remove.
    pub(crate) fn owns_address(&self, index: InterfaceIndex, prefix: Prefix) -> bool {
        self.entries(index)
            .any(|entry| entry.prefix == prefix && entry.ours)
    }

    /// The address that advertisements come from: the first that is not ours (`V3-18`).
    pub(crate) fn primary(&self, index: InterfaceIndex) -> Option<Ipv4Addr> {
        self.entries(index)
            .filter(|entry| !entry.ours)
            .min_by_key(|entry| entry.secondary)
            .map(|entry| entry.prefix.address())
    }

    /// Every address of ours, by interface.
    pub(crate) fn ours(&self) -> impl Iterator<Item = (InterfaceIndex, Prefix)> + '_ {
        self.addresses.iter().flat_map(|(index, entries)| {
            entries
                .iter()
                .filter(|entry| entry.ours)
                .map(|entry| (*index, entry.prefix))
        })
    }

    fn entries(&self, index: InterfaceIndex) -> impl Iterator<Item = &Entry> {
        self.addresses.get(&index).into_iter().flatten()
    }

    fn is_ours(&self, address: &Address) -> bool {
        let Some(name) = self.name(address.interface) else {
            return false;
        };
        let key = (name.to_owned(), address.prefix);
        match address.mark {
            // The interface may have been renamed while nobody looked.
            Mark::Ours => {
                let renamed = |(name, prefix): &(String, Prefix)| {
                    *prefix == address.prefix && !self.by_name.contains_key(name)
                };
                self.claimed.contains(&key) || self.claimed.iter().any(renamed)
            }
            Mark::Other => false,
            Mark::Unknown => self.added.contains(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: InterfaceIndex = InterfaceIndex(2);

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn link(index: u32, name: &str) -> Link {
        Link {
            index: InterfaceIndex(index),
            name: name.to_owned(),
            mac: None,
            running: true,
        }
    }

    fn address(text: &str, mark: Mark) -> Address {
        Address {
            interface: ETH0,
            prefix: prefix(text),
            mark,
            secondary: false,
        }
    }

    fn interfaces(manifest: &[&str]) -> Interfaces {
        let listed = manifest.iter().map(|p| ("eth0".to_owned(), prefix(p)));
        let mut interfaces = Interfaces::new(listed.collect());
        interfaces.set_link(link(2, "eth0"));
        interfaces
    }

    #[test]
    fn an_address_is_ours_only_with_mark_and_manifest() {
        let mut interfaces = interfaces(&["10.0.0.1/24"]);
        interfaces.set_address(address("10.0.0.1/24", Mark::Ours));
        interfaces.set_address(address("10.0.0.2/24", Mark::Ours));
        assert!(interfaces.owns_address(ETH0, prefix("10.0.0.1/24")));
        assert!(!interfaces.owns_address(ETH0, prefix("10.0.0.2/24")));
    }

    #[test]
    fn a_marked_address_is_ours_when_the_listed_interface_has_another_name_now() {
        let listed = vec![("lan0".to_owned(), prefix("10.0.0.1/24"))];
        let mut interfaces = Interfaces::new(listed);
        interfaces.set_link(link(2, "eth0"));
        interfaces.set_address(address("10.0.0.1/24", Mark::Ours));
        assert!(interfaces.owns_address(ETH0, prefix("10.0.0.1/24")));
        interfaces.set_link(link(3, "lan0"));
        interfaces.remove_address(ETH0, prefix("10.0.0.1/24"));
        interfaces.set_address(address("10.0.0.1/24", Mark::Ours));
        assert!(!interfaces.owns_address(ETH0, prefix("10.0.0.1/24")));
    }

    #[test]
    fn an_address_that_somebody_else_added_is_never_ours() {
        let mut interfaces = interfaces(&["10.0.0.1/24"]);
        interfaces.set_address(address("10.0.0.1/24", Mark::Other));
        assert!(!interfaces.owns_address(ETH0, prefix("10.0.0.1/24")));
        assert!(interfaces.has_address(ETH0, prefix("10.0.0.1/24")));
    }

    #[test]
    fn without_marks_the_manifest_of_an_earlier_process_or_our_own_act_is_the_evidence() {
        let mut interfaces = interfaces(&["10.0.0.1/24"]);
        interfaces.claim("eth0", prefix("10.0.0.2/24"));
        interfaces.set_address(address("10.0.0.1/24", Mark::Unknown));
        interfaces.set_address(address("10.0.0.2/24", Mark::Unknown));
        assert!(interfaces.owns_address(ETH0, prefix("10.0.0.1/24")));
        assert!(!interfaces.owns_address(ETH0, prefix("10.0.0.2/24")));
        interfaces.expect(ETH0, &[prefix("10.0.0.2/24")]);
        interfaces.set_address(address("10.0.0.2/24", Mark::Unknown));
        assert!(interfaces.owns_address(ETH0, prefix("10.0.0.2/24")));
    }

    #[test]
    fn the_primary_address_is_never_one_of_ours() {
        let mut interfaces = interfaces(&["10.0.0.1/24"]);
        interfaces.set_address(address("10.0.0.1/24", Mark::Ours));
        assert_eq!(interfaces.primary(ETH0), None);
        interfaces.set_address(address("10.0.0.9/24", Mark::Other));
        assert_eq!(interfaces.primary(ETH0), Some(Ipv4Addr::new(10, 0, 0, 9)));
    }

    #[test]
    fn a_rename_moves_the_name_and_keeps_the_evidence() {
        let mut interfaces = interfaces(&["10.0.0.1/24"]);
        interfaces.set_address(address("10.0.0.1/24", Mark::Ours));
        interfaces.set_link(link(2, "lan0"));
        interfaces.set_address(address("10.0.0.1/24", Mark::Ours));
        assert!(interfaces.link("eth0").is_none());
        assert!(interfaces.owns_address(ETH0, prefix("10.0.0.1/24")));
        interfaces.remove_link(ETH0);
        assert!(interfaces.link("lan0").is_none());
        assert!(!interfaces.has_address(ETH0, prefix("10.0.0.1/24")));
    }
}
