//! What a plugin may do: `[plugin.permissions]`.

use std::net::IpAddr;

use ipnet::IpNet;
use mainstay_protocol::{Grants, ProbeGrant, ProcessGrant};

use super::table::Table;
use super::value::Value;

/// Reads a table of permissions. Everything absent is denied.
pub(super) fn read(mut table: Table<'_>) -> Grants {
    let grants = Grants {
        process: table.take_table("process").map(process).unwrap_or_default(),
        probe: table.take_table("probe").map(probe).unwrap_or_default(),
    };
    table.finish();
    grants
}

/// An address or a network, in the form in which the worker reads it.
pub(super) fn network(text: &str) -> Option<String> {
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    let is_network = text.parse::<IpNet>().is_ok();
    (is_address || is_network).then(|| text.to_owned())
}

fn process(mut table: Table<'_>) -> ProcessGrant {
    let grant = ProcessGrant {
        names: table.take_list("names", filled_text),
        commands: table.take_list("commands", filled_text),
        pid_files: table.take_list("pid-files", Value::path),
        units: table.take_list("units", filled_text),
        command_line: table
            .take("command-line")
            .and_then(|value| value.flag())
            .unwrap_or(false),
    };
    table.finish();
    grant
}

fn probe(mut table: Table<'_>) -> ProbeGrant {
    let addresses = table.take_list("addresses", address);
    let ports = table.take_list("ports", |port| port.number(1..=u16::MAX));
    let mut flag = |key| {
        let value = table.take(key);
        value.and_then(|value| value.flag()).unwrap_or(false)
    };
    let (icmp, unverified_tls) = (flag("icmp"), flag("unverified-tls"));
    let grant = ProbeGrant {
        sources: table.take_list("sources", source),
        fwmarks: table.take_list("fwmarks", |mark| mark.number(1..=u32::MAX)),
        addresses,
        ports,
        icmp,
        unverified_tls,
    };
    let reaches_ports = !grant.addresses.is_empty() && !grant.ports.is_empty();
    let reaches_hosts = !grant.addresses.is_empty() && grant.icmp;
    let names_either = !grant.addresses.is_empty() || !grant.ports.is_empty();
    if names_either && !reaches_ports && !reaches_hosts {
        table.spot.warn(
            "grants nothing without both addresses and ports, or icmp",
            Some("for example { addresses = [\"10.0.0.0/24\"], ports = [80] }".to_owned()),
        );
    }
    table.finish();
    grant
}

fn source(value: &Value<'_>) -> Option<IpAddr> {
    let text = value.text()?;
    let address = text.parse().ok();
    if address.is_none() {
        value.spot.error(
            format!("\"{}\" is no address", text.escape_default()),
            Some("an address of this machine, such as 10.0.0.11".to_owned()),
        );
    }
    address
}

fn filled_text(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.is_empty() {
        value.spot.error("this is empty", None);
        return None;
    }
    Some(text.to_owned())
}

fn address(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let network = network(text);
    if network.is_none() {
        value.spot.error(
            format!("\"{}\" is no address", text.escape_default()),
            Some("an address such as 10.0.0.21 or a network such as 10.0.0.0/24".to_owned()),
        );
    }
    network
}
