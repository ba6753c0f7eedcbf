//! What a LAN is made of, before it runs.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::address::{Family, Prefix};
use mainstay_core::settings::{
    AnnounceSettings, Authentication, CheckSettings, ChecksumForm, Initial, OnError, Password,
    RouterSettings, Settings, Track, Version,
};

use crate::kernel::INTERFACE;
use crate::random::Random;

pub(crate) const ID: u8 = 51;
pub(crate) const CHECK: &str = "nginx";
/// How often a node's check runs.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// For how long a verdict counts.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(6);

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSetup {
    pub(crate) priority: u8,
    /// Last byte of its own address.
    pub(crate) host: u8,
    /// Its check's weight on the router: `None` for no check, `Some(None)` for one without weight.
    pub(crate) check: Option<Option<i16>>,
    /// From a deadline until the engine's thread runs.
    pub(crate) wake: Duration,
}

/// A LAN with one virtual router.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) version: Version,
    pub(crate) interval: Duration,
    pub(crate) preempt: bool,
    pub(crate) down_timer_adverts: u8,
    pub(crate) authentication: Authentication,
    pub(crate) checksum: ChecksumForm,
    pub(crate) addresses: Vec<Prefix>,
    pub(crate) announce: AnnounceSettings,
    pub(crate) nodes: Vec<NodeSetup>,
    pub(crate) latency: Range<Duration>,
    pub(crate) kernel_delay: Range<Duration>,
    /// Whether the kernels mark addresses.
    pub(crate) marks: bool,
    /// Bad packets that reach each node per second.
    pub(crate) noise: u64,
}

impl Setup {
    /// Nodes of these priorities, one second, version 3; addresses rise from the first node on.
    pub(crate) fn of(priorities: &[u8]) -> Self {
        let node = |(index, priority): (usize, &u8)| NodeSetup {
            priority: *priority,
            host: 10 + index as u8,
            check: None,
            wake: Duration::from_micros(50),
        };
        Self {
            version: Version::V3,
            interval: Duration::from_secs(1),
            preempt: true,
            down_timer_adverts: 3,
            authentication: Authentication::None,
            checksum: ChecksumForm::PseudoHeader,
            addresses: vec![vip(100)],
            announce: AnnounceSettings::default(),
            nodes: priorities.iter().enumerate().map(node).collect(),
            latency: Duration::from_micros(100)..Duration::from_micros(300),
            kernel_delay: Duration::from_micros(50)..Duration::from_micros(500),
            marks: true,
            noise: 0,
        }
    }

    /// Anything that a careful operator could have built.
    pub(crate) fn random(random: &mut Random) -> Self {
        let count = 2 + random.index(3);
        let mut hosts: Vec<u8> = (10..10 + count as u8).collect();
        for last in (1..count).rev() {
            hosts.swap(last, random.index(last + 1));
        }
        let version = random.pick(&[Version::V2, Version::V3, Version::V3]);
        let milliseconds = match version {
            Version::V2 => random.pick(&[1_000, 1_000, 3_000]),
            Version::V3 => random.pick(&[10, 100, 1_000, 1_000]),
        };
        let interval = Duration::from_millis(milliseconds);
        let authentication = match (version, random.permille(500)) {
            (Version::V2, true) => {
                Authentication::Pass(Password::new("s3cret").expect("eight bytes at most"))
            }
            _ => Authentication::None,
        };
        let owner = random.permille(100).then(|| random.index(count));
        let nodes = (0..count)
            .map(|index| NodeSetup {
                priority: if owner == Some(index) {
                    255
                } else {
                    random.within(1..255) as u8
                },
                host: hosts[index],
                check: random
                    .permille(300)
                    .then(|| random.pick(&[None, Some(-20), Some(-200), Some(30)])),
                wake: random.duration(Duration::ZERO..interval / 100),
            })
            .collect();
        Self {
            version,
            interval,
            preempt: random.permille(700),
            down_timer_adverts: random.pick(&[3, 3, 3, 2, 5]),
            authentication,
            checksum: random.pick(&[ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly]),
            addresses: (0..1 + random.index(3))
                .map(|n| vip(100 + n as u8))
                .collect(),
            announce: AnnounceSettings::default(),
            nodes,
            latency: Duration::from_micros(10)..interval / 50,
            kernel_delay: Duration::from_micros(20)..Duration::from_micros(500),
            marks: random.permille(800),
            noise: random.pick(&[0, 0, 0, 5]),
        }
    }

    /// The router's settings on this node.
    pub(crate) fn router(&self, node: usize) -> RouterSettings {
        let NodeSetup {
            priority, check, ..
        } = &self.nodes[node];
        RouterSettings {
            name: "VI_1".to_owned(),
            interface: INTERFACE.to_owned(),
            id: NonZeroU8::new(ID).expect("not zero"),
            family: Family::Ipv4,
            version: self.version,
            priority: NonZeroU8::new(*priority).expect("not zero"),
            advert_interval: self.interval,
            preempt: self.preempt,
            down_timer_adverts: self.down_timer_adverts,
            authentication: self.authentication.clone(),
            checksum: self.checksum,
            addresses: self.addresses.clone(),
            track: check
                .iter()
                .map(|weight| Track {
                    check: CHECK.to_owned(),
                    weight: *weight,
                })
                .collect(),
            announce: self.announce,
        }
    }

    /// The whole configuration of this node.
    pub(crate) fn settings(&self, node: usize) -> Arc<Settings> {
        let checks = self.nodes[node].check.map(|_| CheckSettings {
            plugin: "process".to_owned(),
            name: CHECK.to_owned(),
            identity: [7; 32],
            rise: 1,
            fall: 1,
            initial: Initial::Unhealthy,
            on_error: OnError::Keep,
            stale_after: STALE_AFTER,
        });
        Arc::new(Settings {
            generation: 1,
            routers: vec![self.router(node)],
            checks: checks.into_iter().collect(),
        })
    }

    pub(crate) fn primary(&self, node: usize) -> Prefix {
        prefix(self.nodes[node].host)
    }

    /// The longest that a message, a wake-up and a few batches of the kernel take together.
    pub(crate) fn slack(&self) -> Duration {
        let wake = self.nodes.iter().map(|node| node.wake).max();
        2 * (self.latency.end + wake.unwrap_or_default()) + 4 * self.kernel_delay.end
    }
}

/// A virtual address that ends so.
pub(crate) fn vip(host: u8) -> Prefix {
    prefix(host)
}

fn prefix(host: u8) -> Prefix {
    Prefix::new(Ipv4Addr::new(192, 168, 1, host), 24).expect("24 is a prefix length")
}
