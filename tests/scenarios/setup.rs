//! The stage of most scenarios: nodes a and b, and a client, on one Ethernet.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_lab::capture::Capture;
use mainstay_lab::lab::{self, Host, Lab};
use mainstay_lab::node::{Implementation, Node, Router, VIRTUAL};
use mainstay_lab::skip::{Need, skip};
use mainstay_lab::wait;

/// Two nodes and a client that watches the wire.
pub(crate) struct Stage {
    pub(crate) a: Node,
    pub(crate) b: Node,
    pub(crate) client: Host,
    pub(crate) capture: Capture,
    pub(crate) lab: Lab,
}

impl Stage {
    /// Makes the hosts and writes the configurations; no daemon runs yet.
    pub(crate) fn new(a: (Implementation, &Router), b: (Implementation, &Router)) -> Result<Self> {
        let lab = Lab::new()?;
        let client = lab.host("client", Ipv4Addr::new(192, 168, 1, 10))?;
        let a = Node::new(lab.host("a", Ipv4Addr::new(192, 168, 1, 101))?, a.0, a.1)?;
        let b = Node::new(lab.host("b", Ipv4Addr::new(192, 168, 1, 102))?, b.0, b.1)?;
        let capture = Capture::on(&client)?;
        Ok(Self {
            a,
            b,
            client,
            capture,
            lab,
        })
    }

    /// Two nodes of Mainstay alike but for the priority, which is 100 on a and 90 on b.
    pub(crate) fn pair(router: impl Fn(u8) -> Router) -> Result<Self> {
        let nodes = [100, 90].map(router);
        Self::new(
            (Implementation::Mainstay, &nodes[0]),
            (Implementation::Mainstay, &nodes[1]),
        )
    }

    /// Starts both daemons and waits until a alone holds the address.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.b.start()?;
        self.a.start()?;
        self.until_only(Which::A, LONG)
    }

    /// Waits until one node alone holds the address.
    pub(crate) fn until_only(&self, which: Which, limit: Duration) -> Result<()> {
        let hosts = [self.a.host(), self.b.host()];
        let holder = match which {
            Which::A => hosts[0],
            Which::B => hosts[1],
        };
        let mut last = Vec::new();
        wait::until_true(
            limit,
            &format!("{} alone holds {VIRTUAL}", holder.name()),
            || {
                self.a.check_alive()?;
                self.b.check_alive()?;
                last = lab::holders(&hosts, VIRTUAL)?;
                Ok(last == [holder.name()])
            },
        )
        .with_context(|| format!("holders in the end: {last:?}"))
    }
}

/// One of the nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    A,
    B,
}

/// Longer than any takeover takes, on a busy machine too.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// As [`lacking`], for a scenario with nginx on its nodes.
pub(crate) fn lacking_nginx(scenario: &str, nodes: &[Implementation]) -> bool {
    lacking(scenario, nodes) || skip(scenario, &[Need::Executable("nginx")])
}

/// What the scenarios of two nodes need.
pub(crate) fn lacking(scenario: &str, nodes: &[Implementation]) -> bool {
    let mut needs = vec![Need::Root, Need::Executable("ip")];
    if nodes.contains(&Implementation::Keepalived) {
        needs.push(Need::Executable("keepalived"));
    }
    skip(scenario, &needs)
}
