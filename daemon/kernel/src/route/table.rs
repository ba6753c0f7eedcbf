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

    pub(super) fn link(&self, index: InterfaceIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn address(&self, interface: InterfaceIndex, prefix: Prefix) -> Option<&Address> {
        self.addresses.get(&(interface, prefix))
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }

    /// The addresses that Linux takes away with a primary one: the others of its network.
    pub(super) fn secondaries_of(&self, primary: &Address) -> impl Iterator<Item = &Address> {
        let network = network(primary.prefix);
        let interface = primary.interface;
        self.addresses().filter(move |address| {
            address.secondary
                && address.interface == interface
                && self::network(address.prefix) == network
        })
    }
}

/// The network that an address is in: its bits, and how many.
fn network(prefix: Prefix) -> (u32, u8) {
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
        let release = uname().ok();
        let release = release.as_ref().and_then(|name| name.release().to_str());
        Self {
            kept: release
                .and_then(version)
                .is_some_and(|version| version >= (5, 18)),
        }
    }
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
