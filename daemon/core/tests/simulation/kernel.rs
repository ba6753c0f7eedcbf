//! What a node's kernel has: one interface, its addresses, a VRRP socket.

use std::net::Ipv4Addr;

use mainstay_core::action::{ActionId, Effect};
use mainstay_core::address::{InterfaceIndex, MacAddress, Prefix};
use mainstay_core::input::{Address, Failure, Input, Link, Mark, Snapshot};

pub(crate) const INTERFACE: &str = "eth0";
pub(crate) const INDEX: InterfaceIndex = InterfaceIndex(2);

/// Something the engine asked for that takes a while.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) action: ActionId,
    pub(crate) effect: Effect,
}

#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) mac: MacAddress,
    /// Up and with a carrier.
    pub(crate) running: bool,
    /// Whether addresses keep the mark of who added them.
    pub(crate) marks: bool,
    /// Every change of addresses fails.
    pub(crate) refuses: bool,
    addresses: Vec<Address>,
    /// Ids that the socket listens for; without any there is no socket.
    listening: Vec<u8>,
}

impl Kernel {
    pub(crate) fn new(mac: MacAddress, primary: Prefix, marks: bool) -> Self {
        let mut kernel = Self {
            mac,
            running: true,
            marks,
            refuses: false,
            addresses: Vec::new(),
            listening: Vec::new(),
        };
        kernel.insert(primary, Mark::Other);
        kernel
    }

    pub(crate) fn link(&self) -> Link {
        Link {
            index: INDEX,
            name: INTERFACE.to_owned(),
            mac: Some(self.mac),
            running: self.running,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            links: vec![self.link()],
            addresses: self.addresses.clone(),
        }
    }

    pub(crate) fn has(&self, address: Ipv4Addr) -> bool {
        self.addresses
            .iter()
            .any(|known| known.prefix.address() == address)
    }

    pub(crate) fn listens_for(&self, id: Option<u8>) -> bool {
        id.is_some_and(|id| self.listening.contains(&id))
    }

    /// The process is gone, and its socket with it.
    pub(crate) fn close(&mut self) {
        self.listening.clear();
    }

    /// Does what was asked for; what it tells all who listen, and how it ended.
    pub(crate) fn serve(&mut self, effect: &Effect) -> (Vec<Input>, Result<(), Failure>) {
        match effect {
            Effect::Listen { ids, .. } => {
                self.listening.clone_from(ids);
                (Vec::new(), Ok(()))
            }
            Effect::AddAddresses { .. } | Effect::RemoveAddresses { .. } if self.refuses => {
                let failure = Failure {
                    errno: Some(105),
                    message: "the kernel has no buffer space".to_owned(),
                };
                (Vec::new(), Err(failure))
            }
            Effect::AddAddresses { addresses, .. } => {
                let added = addresses
                    .iter()
                    .filter_map(|prefix| self.insert(*prefix, Mark::Ours));
                (added.map(Input::Address).collect(), Ok(()))
            }
            Effect::RemoveAddresses { addresses, .. } => {
                let removed = addresses.iter().filter(|prefix| self.remove(**prefix));
                let gone = removed.map(|prefix| Input::AddressGone {
                    interface: INDEX,
                    prefix: *prefix,
                });
                (gone.collect(), Ok(()))
            }
            Effect::Send { .. }
            | Effect::Announce { .. }
            | Effect::Remember(_)
            | Effect::Event(_) => (Vec::new(), Ok(())),
        }
    }

    /// Takes an address away; whether it was there.
    pub(crate) fn remove(&mut self, prefix: Prefix) -> bool {
        let before = self.addresses.len();
        self.addresses.retain(|known| known.prefix != prefix);
        self.addresses.len() < before
    }

    fn insert(&mut self, prefix: Prefix, mark: Mark) -> Option<Address> {
        if self.addresses.iter().any(|known| known.prefix == prefix) {
            return None;
        }
        let network = |prefix: Prefix| {
            let shift = 32 - u32::from(prefix.length());
            (
                prefix.address().to_bits().checked_shr(shift),
                prefix.length(),
            )
        };
        let address = Address {
            interface: INDEX,
            prefix,
            mark: if self.marks { mark } else { Mark::Unknown },
            secondary: self
                .addresses
                .iter()
                .any(|known| network(known.prefix) == network(prefix)),
        };
        self.addresses.push(address);
        Some(address)
    }
}
