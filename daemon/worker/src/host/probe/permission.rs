//! Whether a probe may be made: what is asked for makes sense, is granted, and there is room for it.

use std::net::{IpAddr, SocketAddr};

use mainstay_protocol::{Origin, ProbeGrant, peer_address};
use tokio::time::Duration;

use super::PER_RUN;
use super::failure::invalid;
use crate::bindings::common::Endpoint;
use crate::bindings::network::Options;
use crate::bindings::probe::Error;
use crate::host::State;
use crate::host::dial::Dial;
use crate::host::slots::Slot;
use crate::tally::Call;
use crate::text::one_line;
use crate::turn::Turn;

/// A probe that may be made.
#[derive(Debug)]
pub(super) struct Permitted {
    /// Lasts as long as this.
    _call: Call,
    /// The way to the peer.
    pub(super) dial: Dial,
    /// How long it may take.
    pub(super) limit: Duration,
    /// What it waits with.
    pub(super) turn: Turn,
    /// Its place among the probes that go on at the same time.
    pub(super) slot: Slot,
}

impl State {
    /// Checks arguments, grant and quotas, in this order: an address that is none is no denial.
    pub(super) fn may_probe(
        &mut self,
        function: &'static str,
        to: &Endpoint,
        options: &Options,
    ) -> Result<Permitted, Error> {
        let call = self.begin_probe(function);
        let address = peer_address(&to.address).filter(|_| to.port != 0);
        let peer = SocketAddr::new(address.ok_or(Error::InvalidAddress)?, to.port);
        let origin = origin(options, peer.ip())?;
        let granted = self.grants.probe.allows(peer.ip(), peer.port());
        if !granted && self.target != Some(peer) {
            let covers = self.grants.probe.covers(peer.ip());
            return Err(self.deny_probe(&format!("{function} {peer}"), |grant| {
                if !covers {
                    grant.addresses.push(peer.ip().to_string());
                }
                if !grant.ports.contains(&peer.port()) {
                    grant.ports.push(peer.port());
                }
            }));
        }
        self.may_come_from(function, &origin)?;
        let slot = self.probe_slot()?;
        let dial = Dial {
            plugin: self.grants.plugin.clone(),
            to: peer,
            origin,
        };
        Ok(Permitted {
            _call: call,
            dial,
            limit: self.time_for(options),
            turn: self.waiting_turn(),
            slot,
        })
    }

    /// Whether an address may be sent echoes.
    pub(super) fn may_echo(&self, function: &str, to: IpAddr) -> Result<(), Error> {
        let is_target = self.target.is_some_and(|target| target.ip() == to);
        if is_target || self.grants.probe.allows_echo(to) {
            return Ok(());
        }
        let covers = self.grants.probe.covers(to);
        Err(self.deny_probe(&format!("{function} {to}"), |grant| {
            grant.icmp = true;
            if !covers {
                grant.addresses.push(to.to_string());
            }
        }))
    }

    /// Counts a call.
    pub(super) fn begin_probe(&mut self, function: &'static str) -> Call {
        self.probed += 1;
        self.tally.call(function)
    }

    /// Whether the source and the mark are granted.
    pub(super) fn may_come_from(&self, function: &str, origin: &Origin) -> Result<(), Error> {
        if self.grants.probe.allows_origin(origin) {
            return Ok(());
        }
        let source = origin.source.map(|source| format!(" from {source}"));
        let mark = origin.fwmark.map(|mark| format!(" with mark {mark}"));
        let (source, mark) = (source.unwrap_or_default(), mark.unwrap_or_default());
        Err(
            self.deny_probe(&format!("{function}{source}{mark}"), |grant| {
                grant.sources.extend(origin.source);
                grant.sources.dedup();
                grant.fwmarks.extend(origin.fwmark);
                grant.fwmarks.dedup();
            }),
        )
    }

    /// A place among the probes of this run, and of all.
    pub(super) fn probe_slot(&self) -> Result<Slot, Error> {
        if self.probed > PER_RUN {
            return Err(Error::TooMany);
        }
        let slot = self.shared.probes.take(&self.grants.plugin);
        slot.ok_or(Error::TooMany)
    }

    /// Notes a denial, with the line that would grant it.
    pub(super) fn deny_probe(&self, call: &str, amend: impl FnOnce(&mut ProbeGrant)) -> Error {
        let line = self.grants.probe_line(amend);
        self.tally.deny(one_line(call, 128), line);
        Error::NotPermitted
    }

    /// How long a probe may take.
    pub(super) fn time_for(&self, options: &Options) -> Duration {
        Duration::from_millis(options.timeout_ms.into()).min(self.remaining())
    }
}

/// Where a probe is to come from.
pub(super) fn origin(options: &Options, peer: IpAddr) -> Result<Origin, Error> {
    if let Some(attribute) = options.attributes.first() {
        return Err(invalid(&format!("there is no option {}", attribute.key)));
    }
    let source = options.source.as_deref().map(|text| {
        let source = peer_address(text);
        source.ok_or_else(|| invalid(&format!("the source {text} is no address")))
    });
    let source = source.transpose()?;
    if source.is_some_and(|source| source.is_ipv4() != peer.is_ipv4()) {
        return Err(invalid("source and peer are not of one family"));
    }
    Ok(Origin {
        source,
        fwmark: options.fwmark,
    })
}
