//! What a plugin may do: `[plugin.permissions]`.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use bytesize::ByteSize;
use ipnet::IpNet;
use mainstay_protocol::{
    Grants, HttpGrant, ProbeGrant, ProcessGrant, Secret, StateGrant, UrlPrefix, Wish,
};

use super::table::Table;
use super::value::Value;
use super::{Options, secrets};

/// The least and the most that a plugin may have kept: what fits into one frame.
const STATE: [ByteSize; 2] = [ByteSize::b(64), ByteSize::kib(128)];

/// Reads a table of permissions, and the secrets that it names. Everything absent is denied.
pub(super) fn read(mut table: Table<'_>, options: &Options) -> (Grants, Vec<Secret>) {
    let (secret_grants, secrets) = secrets::read(&mut table, options);
    let grants = Grants {
        process: table.take_table("process").map(process).unwrap_or_default(),
        probe: table.take_table("probe").map(probe).unwrap_or_default(),
        http: table.take_table("http").map(http).unwrap_or_default(),
        wasi_http: table.take_table("wasi-http").map(http).unwrap_or_default(),
        wasi_sockets: table
            .take_table("wasi-sockets")
            .map(sockets)
            .unwrap_or_default(),
        files: table.take_list("files", directory),
        secrets: secret_grants,
        state: table.take_table("state").map(state),
        routers: flag(&mut table, "routers"),
        services: flag(&mut table, "services"),
        units: table.take_list("units", unit),
        fifo: table.take_list("fifo", Value::path),
    };
    table.finish();
    (grants, secrets)
}

fn flag(table: &mut Table<'_>, key: &'static str) -> bool {
    let flag = table.take(key).and_then(|value| value.flag());
    flag.unwrap_or(false)
}

fn state(mut table: Table<'_>) -> StateGrant {
    let default = StateGrant::default();
    let size = table.take("size");
    let size = size.and_then(|value| value.size(STATE[0]..=STATE[1]));
    let grant = StateGrant {
        size: size.unwrap_or(default.size),
        persist: flag(&mut table, "persist"),
    };
    table.finish();
    grant
}

/// What to do about a wish that is not granted.
pub(super) fn how(wish: &Wish) -> String {
    let capability = &wish.capability;
    let known = serde_json::to_value(Grants::default());
    match &wish.line {
        Some(line) => format!("to grant it: {line}"),
        None if known.is_ok_and(|known| known.get(capability).is_some()) => {
            format!("permissions.{capability} says what it may use")
        }
        None => "this version has nothing of that kind to grant".to_owned(),
    }
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

fn sockets(mut table: Table<'_>) -> ProbeGrant {
    let grant = ProbeGrant {
        addresses: table.take_list("addresses", address),
        ports: table.take_list("ports", |port| port.number(1..=u16::MAX)),
        ..ProbeGrant::default()
    };
    if grant.addresses.is_empty() != grant.ports.is_empty() {
        table.spot.warn(
            "grants nothing without both addresses and ports",
            Some("for example { addresses = [\"10.0.0.0/24\"], ports = [80] }".to_owned()),
        );
    }
    table.finish();
    grant
}

/// The least and the most of a response's body that a grant may keep.
const MAX_BODY: [ByteSize; 2] = [ByteSize::b(1), ByteSize::mib(1)];

fn http(mut table: Table<'_>) -> HttpGrant {
    let default = HttpGrant::default();
    let grant = HttpGrant {
        urls: table.take_list("urls", url_prefix),
        max_body: table
            .take("max-body")
            .and_then(|value| value.size(MAX_BODY[0]..=MAX_BODY[1]))
            .and_then(|size| u32::try_from(size).ok())
            .unwrap_or(default.max_body),
        unverified_tls: table
            .take("unverified-tls")
            .and_then(|value| value.flag())
            .unwrap_or(default.unverified_tls),
        sources: table.take_list("sources", source),
        fwmarks: table.take_list("fwmarks", |mark| mark.number(1..=u32::MAX)),
    };
    if grant.urls.is_empty() {
        table.spot.warn(
            "grants nothing without urls",
            Some("for example { urls = [\"http://10.0.0.0/24:80/healthz\"] }".to_owned()),
        );
    }
    table.finish();
    grant
}

fn url_prefix(value: &Value<'_>) -> Option<UrlPrefix> {
    let text = value.text()?;
    match text.parse() {
        Ok(prefix) => Some(prefix),
        Err(error) => {
            value.spot.error(
                format!("\"{}\" is no URL to grant: {error}", text.escape_default()),
                Some(
                    "what URLs begin with, such as \"https://www.example.com/status\" or \
                     \"http://10.0.0.0/24:80/\""
                        .to_owned(),
                ),
            );
            None
        }
    }
}

/// A directory that a plugin may be given: one of its own, in plain words. What is there is for the
/// worker to see, which opens it.
pub(crate) fn may_be_given(path: &Path) -> bool {
    const NEVER: [&str; 4] = ["/proc", "/sys", "/dev", "/etc"];
    path.is_absolute()
        && path.parent().is_some()
        && !NEVER.iter().any(|closed| path.starts_with(closed))
        && !path.components().any(|part| part == Component::ParentDir)
}

fn directory(value: &Value<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(value.text()?);
    if !may_be_given(&path) {
        value.spot.error(
            "this directory cannot be given to a plugin",
            Some(
                "an absolute path of a directory made for it, such as \"/srv/app/health\"; \
                 never / or what is in /proc, /sys, /dev and /etc"
                    .to_owned(),
            ),
        );
        return None;
    }
    Some(path)
}

fn filled_text(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.is_empty() {
        value.spot.error("this is empty", None);
        return None;
    }
    Some(text.to_owned())
}

/// The whole name of a systemd unit, with its type: what is asked for has to be the same.
fn unit(value: &Value<'_>) -> Option<String> {
    const TYPES: [&str; 11] = [
        "automount",
        "device",
        "mount",
        "path",
        "scope",
        "service",
        "slice",
        "socket",
        "swap",
        "target",
        "timer",
    ];
    let text = value.text()?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || b":_.\\@-".contains(&c);
    let typed = text
        .rsplit_once('.')
        .is_some_and(|(name, kind)| !name.is_empty() && TYPES.contains(&kind));
    if !typed || text.len() > 255 || !text.bytes().all(plain) {
        value.spot.error(
            format!("\"{}\" is no unit of systemd", text.escape_default()),
            Some("the whole name of one, such as \"nginx.service\"".to_owned()),
        );
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
