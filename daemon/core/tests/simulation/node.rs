//! A host: a kernel, and on it a process with an engine, which can be paused, killed and started.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::Engine;
use mainstay_core::address::MacAddress;
use mainstay_core::event::RouterState;
use mainstay_core::input::{Input, Packet};
use mainstay_core::record::{Legacy, Record};
use mainstay_core::settings::Settings;
use mainstay_core::time::{Now, Time};

use crate::kernel::{INTERFACE, Kernel};

/// Packets that wait in a socket at most; what comes later is lost.
const SOCKET_BUFFER: usize = 200;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) primary: Ipv4Addr,
    pub(crate) wake: Duration,
    pub(crate) settings: Arc<Settings>,
    pub(crate) kernel: Kernel,
    /// The engine, while the process lives.
    pub(crate) engine: Option<Engine>,
    /// Counts processes: what was for an earlier one is not for this one.
    pub(crate) process: u32,
    pub(crate) paused: bool,
    /// What waits for a paused process, apart from packets.
    pub(crate) inbox: VecDeque<Input>,
    /// Packets that wait for a paused process.
    pub(crate) socket: VecDeque<Packet>,
    /// Requests that the kernel has not served, or whose end was not told.
    pub(crate) under_way: usize,
    /// When the kernel has served everything before.
    pub(crate) kernel_free_at: Time,
    /// The router's state as its transitions tell it; `None` without a process.
    pub(crate) state: Option<RouterState>,
    /// The process was asked to end.
    pub(crate) stopping: bool,
    /// It could not help holding addresses when it was paused.
    pub(crate) excused: bool,
    /// When the kernel last began or ceased to refuse.
    pub(crate) refused_until: Time,
    /// What the check finds.
    pub(crate) healthy: bool,
    records: Vec<Record>,
    started_before: bool,
}

impl Node {
    pub(crate) fn new(
        primary: Ipv4Addr,
        wake: Duration,
        settings: Arc<Settings>,
        kernel: Kernel,
    ) -> Self {
        Self {
            primary,
            wake,
            settings,
            kernel,
            engine: None,
            process: 0,
            paused: false,
            inbox: VecDeque::new(),
            socket: VecDeque::new(),
            under_way: 0,
            kernel_free_at: Time::ZERO,
            state: None,
            stopping: false,
            excused: false,
            refused_until: Time::ZERO,
            healthy: true,
            records: Vec::new(),
            started_before: false,
        }
    }

    pub(crate) fn mac(&self) -> MacAddress {
        self.kernel.mac
    }

    /// Begins a process with what an earlier one has left. Its first input is the snapshot.
    pub(crate) fn begin(&mut self, now: Now) -> Input {
        let manifest = self.settings.routers.iter().flat_map(|router| {
            let addresses = router.addresses.iter();
            addresses.map(|prefix| (INTERFACE.to_owned(), *prefix))
        });
        let legacy = Legacy {
            records: self.records.clone(),
            // The manifest is written before the first configuration is applied, and stays.
            manifest: if self.started_before {
                manifest.collect()
            } else {
                Vec::new()
            },
        };
        self.started_before = true;
        self.state = Some(RouterState::Initialize);
        self.engine = Some(Engine::new(now, &self.settings, legacy));
        Input::Snapshot(self.kernel.snapshot())
    }

    /// Ends the process, however it came to that.
    pub(crate) fn end(&mut self) {
        self.engine = None;
        self.state = None;
        self.stopping = false;
        self.process += 1;
        self.paused = false;
        self.inbox.clear();
        self.socket.clear();
        self.under_way = 0;
        self.kernel.close();
    }

    /// Whether the process can take inputs now.
    pub(crate) fn runs(&self) -> bool {
        self.engine.is_some() && !self.paused
    }

    /// When the process wakes up by itself.
    pub(crate) fn wakes_at(&self) -> Option<Time> {
        let engine = self.engine.as_ref().filter(|_| !self.paused)?;
        engine.next_deadline().map(|deadline| deadline + self.wake)
    }

    pub(crate) fn remember(&mut self, record: Record) {
        let same = |known: &Record| match (known, &record) {
            (Record::Router(known), Record::Router(new)) => known.key == new.key,
            (Record::Check(known), Record::Check(new)) => known.identity == new.identity,
            (Record::Router(_), Record::Check(_)) | (Record::Check(_), Record::Router(_)) => false,
        };
        self.records.retain(|known| !same(known));
        self.records.push(record);
    }

    pub(crate) fn wait(&mut self, packet: Packet) {
        if self.socket.len() < SOCKET_BUFFER {
            self.socket.push_back(packet);
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state == Some(RouterState::Active)
    }

    /// Whether addresses may be left because the kernel refuses to remove them, or did until
    /// lately: it is asked again after 6.4 seconds at the latest.
    pub(crate) fn cannot_help_it(&self, now: Time) -> bool {
        let again = Duration::from_millis(6_400) + self.wake;
        self.kernel.refuses || now < self.refused_until + again
    }

    /// How many of the virtual addresses are on the interface.
    pub(crate) fn held(&self) -> usize {
        let addresses = self.settings.routers[0].addresses.iter();
        addresses
            .filter(|prefix| self.kernel.has(prefix.address()))
            .count()
    }

    pub(crate) fn holds_all(&self) -> bool {
        self.held() == self.settings.routers[0].addresses.len()
    }
}
