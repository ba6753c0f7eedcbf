//! The virtual addresses of a router.

use std::net::{Ipv4Addr, Ipv6Addr};

use mainstay_core::address::Prefix;

use crate::config::names::Unique;
use crate::config::value::Value;

/// How many an advertisement can name (`V3-22`).
const MOST: usize = 255;

/// Reads `addresses`. `taken` holds those of the routers before, per interface.
pub(super) fn read(
    value: &Value<'_>,
    interface: Option<&str>,
    taken: &mut Unique<(String, Ipv4Addr)>,
) -> Option<Vec<Prefix>> {
    let elements = value.elements()?;
    if elements.is_empty() || elements.len() > MOST {
        value.spot.error(
            format!("a router cannot have {} addresses", elements.len()),
            Some(format!("give it 1 to {MOST}")),
        );
        return None;
    }
    let mut addresses = Vec::with_capacity(elements.len());
    for element in &elements {
        let Some(prefix) = read_one(element) else {
            continue;
        };
        if let Some(interface) = interface {
            taken.claim(
                (interface.to_owned(), prefix.address()),
                &element.spot,
                &format!("the address {} on {interface}", prefix.address()),
                "an address belongs to one virtual router",
            );
        }
        addresses.push(prefix);
    }
    (addresses.len() == elements.len()).then_some(addresses)
}

fn read_one(value: &Value<'_>) -> Option<Prefix> {
    const EXAMPLE: &str =
        "an IPv4 address with the length of its network, such as 192.168.1.100/24";
    let text = value.text()?;
    let wrong = |reason: String| {
        value.spot.error(
            format!("\"{}\": {reason}", text.escape_default()),
            Some(format!("expected {EXAMPLE}")),
        );
    };
    let host = text.split('/').next().unwrap_or(text);
    if host.parse::<Ipv6Addr>().is_ok() {
        wrong("IPv6 is not supported yet".to_owned());
        return None;
    }
    let prefix: Prefix = match text.parse() {
        Ok(prefix) => prefix,
        Err(error) => {
            wrong(error.to_string());
            return None;
        }
    };
    let address = prefix.address();
    let reason = if address.is_unspecified() || address.octets()[0] == 0 {
        "this is the address of nobody"
    } else if address.is_multicast() {
        "this is a multicast address"
    } else if address.is_broadcast() || address.octets()[0] >= 240 {
        "this is a reserved address"
    } else if address.is_loopback() {
        "this is a loopback address"
    } else if prefix.length() == 0 {
        "a network of length 0 would take in every address"
    } else if prefix.is_network() {
        "this is the address of its network"
    } else if prefix.is_broadcast() {
        "this is the broadcast address of its network"
    } else {
        return Some(prefix);
    };
    value.spot.error(
        format!("{prefix} cannot be a virtual address: {reason}"),
        None,
    );
    None
}
