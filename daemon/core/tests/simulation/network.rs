//! The wire between the nodes, and a client on it that learns addresses from gratuitous ARP. The
//! client hears every node that has a cable: whoever it doesn't hear can't tell it anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use mainstay_core::address::MacAddress;
use mainstay_core::time::Time;

use crate::random::Random;

#[derive(Debug)]
pub(crate) struct Network {
    /// Directions in which nothing passes.
    cuts: BTreeSet<(usize, usize)>,
    /// Packets lost, in a thousand.
    pub(crate) loss: u64,
    latency: Range<Duration>,
    /// When the last packet arrives.
    arrivals: BTreeMap<(usize, usize), Time>,
    /// The client's neighbour table.
    neighbours: BTreeMap<Ipv4Addr, MacAddress>,
}

impl Network {
    pub(crate) fn new(latency: Range<Duration>) -> Self {
        Self {
            cuts: BTreeSet::new(),
            loss: 0,
            latency,
            arrivals: BTreeMap::new(),
            neighbours: BTreeMap::new(),
        }
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        self.cuts.remove(&(from, to));
    }

    pub(crate) fn mend_all(&mut self) {
        self.cuts.clear();
        self.loss = 0;
    }

    /// When a packet that is sent now arrives; `None` when it is lost. From one end to another none
    /// overtakes an earlier one.
    pub(crate) fn carry(
        &mut self,
        from: usize,
        to: usize,
        now: Time,
        random: &mut Random,
    ) -> Option<Time> {
        let lost = random.permille(self.loss);
        let latency = random.duration(self.latency.clone());
        if lost || self.cuts.contains(&(from, to)) {
            return None;
        }
        let last = self.arrivals.entry((from, to)).or_default();
        *last = (now + latency).max(*last);
        Some(*last)
    }

    /// The client hears this gratuitous ARP.
    pub(crate) fn learn(&mut self, address: Ipv4Addr, mac: MacAddress) {
        self.neighbours.insert(address, mac);
    }

    /// Whom the client sends to when it wants to reach this address.
    pub(crate) fn neighbour(&self, address: Ipv4Addr) -> Option<MacAddress> {
        self.neighbours.get(&address).copied()
    }
}

/// What a gratuitous ARP request says; `None` for any other frame.
pub(crate) fn read_gratuitous(frame: &[u8]) -> Option<(Ipv4Addr, MacAddress)> {
    let frame: &[u8; 42] = frame.try_into().ok()?;
    let broadcast = frame[0..6] == [0xff; 6];
    let request = frame[12..22] == [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
    let same = frame[28..32] == frame[38..42] && frame[6..12] == frame[22..28];
    let mac: MacAddress = frame[22..28].try_into().ok()?;
    let address: [u8; 4] = frame[28..32].try_into().ok()?;
    (broadcast && request && same).then(|| (address.into(), mac))
}
