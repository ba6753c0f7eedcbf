//! What is known of links and addresses.

use std::collections::BTreeMap;

use mainstay_core::address::{InterfaceIndex, Prefix};
use mainstay_core::input::{Address, Input, Link, Mark, Snapshot};
use nix::sys::utsname::uname;

use super::message::{Body, MARK};

/// The kernel's links and IPv4 addresses as of the last message read.
#[derive(Debug, Default)]
pub(super) struct Table {
    links: BTreeMap<InterfaceIndex, Link>,
    addresses: BTreeMap<(InterfaceIndex, Prefix), Address>,
    marks: Marks,
}

impl Table {
    /// Notes what a message says: what to pass on, if it changes anything.
    pub(super) fn apply(&mut self, body: Body) -> Option<Input> {
        match body {
            Body::Link(link) => {
                let old = self.links.insert(link.index, link.clone());
                (old.as_ref() != Some(&link)).then_some(Input::Link(link))
            }
            Body::LinkGone(index) => {
                self.addresses
                    .retain(|(interface, _), _| *interface != index);
                self.links.remove(&index).map(|_| Input::LinkGone(index))
            }
            Body::Address {
                interface,
                prefix,
                secondary,
                protocol,
            } => {
                let address = Address {
                    interface,
                    prefix,
                    mark: self.marks.of(protocol),
                    secondary,
                };
                let old = self.addresses.insert((interface, prefix), address);
                (old != Some(address)).then_some(Input::Address(address))
            }
            Body::AddressGone { interface, prefix } => self
                .addresses
                .remove(&(interface, prefix))
                .map(|_| Input::AddressGone { interface, prefix }),
            Body::Acknowledged(_) | Body::Done(_) | Body::Other => None,
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            links: self.links.values().cloned().collect(),
            addresses: self.addresses().copied().collect(),
        }
    }

    /// An empty one, as on a kernel that keeps no marks.
    #[cfg(test)]
    pub(super) fn without_marks() -> Self {
        Self {
            marks: Marks { kept: false },
            ..Self::default()
        }
    }

    pub(super) fn link(&self, index: InterfaceIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn address(&self, interface: InterfaceIndex, prefix: Prefix) -> Option<&Address> {
        self.addresses.get(&(interface, prefix))
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }
}

/// The network that an address is in: its bits, and how many.
pub(super) fn network(prefix: Prefix) -> (u32, u8) {
    let host_bits = u32::from(32 - prefix.length());
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    (prefix.address().to_bits() & mask, prefix.length())
}

/// Whether the kernel keeps marks: by its release (5.18), or because one was seen (a vendor's kernel
/// with an older number).
#[derive(Debug)]
struct Marks {
    kept: bool,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            kept: keeps_marks(),
        }
    }
}

/// Whether the kernel keeps marks, by its release.
pub(super) fn keeps_marks() -> bool {
    let release = uname().ok();
    let release = release.as_ref().and_then(|name| name.release().to_str());
    release
        .and_then(version)
        .is_some_and(|version| version >= (5, 18))
}

impl Marks {
    fn of(&mut self, protocol: Option<u8>) -> Mark {
        self.kept |= protocol.is_some();
        match protocol {
            Some(MARK) => Mark::Ours,
            _ if self.kept => Mark::Other,
            _ => Mark::Unknown,
        }
    }
}

/// The first two numbers of a release such as `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_as_far_as_it_matters() {
        assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
        assert_eq!(version("5.18"), Some((5, 18)));
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("linux"), None);
        assert_eq!(version(""), None);
        assert!((6, 1) >= (5, 18) && (5, 9) < (5, 18));
    }

    #[test]
    fn a_kernel_without_marks_leaves_it_open_until_one_is_seen() {
        let mut marks = Marks { kept: false };
        assert_eq!(marks.of(None), Mark::Unknown);
        assert_eq!(marks.of(Some(1)), Mark::Other);
        assert_eq!(marks.of(None), Mark::Other);
        assert_eq!(marks.of(Some(MARK)), Mark::Ours);
    }

    #[test]
    fn a_network_is_its_bits_and_their_number() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("10.0.0.1/24"), network("10.0.0.200/24"));
        assert_ne!(network("10.0.0.1/24"), network("10.0.0.1/25"));
        assert_ne!(network("10.0.0.1/24"), network("10.0.1.1/24"));
        assert_ne!(network("10.0.0.1/32"), network("10.0.0.2/32"));
        assert_eq!(network("10.0.0.1/0"), network("192.0.2.1/0"));
    }

    #[test]
    fn what_changes_nothing_is_not_passed_on() {
        let link = Link {
            index: InterfaceIndex(2),
            name: "eth0".to_owned(),
            mac: None,
            running: true,
        };
        let mut table = Table::default();
        assert_eq!(
            table.apply(Body::Link(link.clone())),
            Some(Input::Link(link.clone()))
        );
        assert_eq!(table.apply(Body::Link(link)), None);
        assert_eq!(table.apply(Body::LinkGone(InterfaceIndex(3))), None);
        let gone = Input::LinkGone(InterfaceIndex(2));
        assert_eq!(table.apply(Body::LinkGone(InterfaceIndex(2))), Some(gone));
        assert_eq!(table.snapshot(), Snapshot::default());
    }
}
