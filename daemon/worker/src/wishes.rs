//! What a plugin would like, beside what it is granted.

use ipnet::IpNet;
use mainstay_protocol::{Grants, ProbeGrant, ProcessGrant, Wish};

use crate::bindings::lifecycle;
use crate::grant_line::{self, ProcessKey};
use crate::text::one_line;

/// The longest capability and scope, in bytes.
const TEXT: usize = 256;

/// A wish with what becomes of it: whether it is granted, and else the line that would grant it.
///
/// A scope is what the plugin's author wrote. One that names nothing, such as "what the settings
/// name", counts as granted as soon as anything of its capability is.
#[must_use]
pub(crate) fn weigh(wish: &lifecycle::Wish, grants: &Grants) -> Wish {
    let scope = wish.scope.trim();
    let (granted, line) = match wish.capability.as_str() {
        "process" => process(scope, &grants.process),
        "probe" => probe(scope, &grants.probe),
        other => (anything(other, grants), None),
    };
    Wish {
        capability: one_line(&wish.capability, TEXT),
        scope: one_line(&wish.scope, TEXT),
        optional: wish.optional,
        granted,
        line: line.filter(|_| !granted),
    }
}

fn process(scope: &str, grant: &ProcessGrant) -> (bool, Option<String>) {
    if scope.is_empty() || scope.contains(char::is_whitespace) {
        return (*grant != ProcessGrant::default(), None);
    }
    let (key, granted) = if scope.starts_with('/') {
        let granted = grant.pid_files.iter().any(|file| file.as_os_str() == scope);
        (ProcessKey::PidFile, granted)
    } else if is_unit(scope) {
        let granted = grant.units.iter().any(|unit| unit == scope);
        (ProcessKey::Unit, granted)
    } else {
        let named = grant.names.iter().chain(&grant.commands);
        let granted = named.into_iter().any(|name| name == scope);
        (ProcessKey::Name, granted)
    };
    (granted, Some(grant_line::process(grant, key, scope)))
}

fn is_unit(scope: &str) -> bool {
    let suffixes = [".service", ".scope", ".socket", ".slice"];
    suffixes.iter().any(|suffix| scope.ends_with(suffix))
}

fn probe(scope: &str, grant: &ProbeGrant) -> (bool, Option<String>) {
    let Some((wanted, port)) = endpoint(scope) else {
        return (!grant.addresses.is_empty() && !grant.ports.is_empty(), None);
    };
    let granted = grant.addresses.iter().filter_map(|text| network(text));
    let covered = granted.into_iter().any(|network| network.contains(&wanted));
    let mut amended = grant.clone();
    if !covered {
        amended
            .addresses
            .push(match wanted.prefix_len() == wanted.max_prefix_len() {
                true => wanted.addr().to_string(),
                false => wanted.to_string(),
            });
    }
    if !grant.ports.contains(&port) {
        amended.ports.push(port);
    }
    let granted = covered && grant.ports.contains(&port);
    (granted, Some(grant_line::probe(&amended)))
}

/// An address or a network, and a port behind it.
fn endpoint(scope: &str) -> Option<(IpNet, u16)> {
    let (address, port) = scope.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((network(address)?, port))
}

fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    address.or_else(|| text.parse().ok())
}

/// Whether anything of a capability is granted.
fn anything(capability: &str, grants: &Grants) -> bool {
    let of = |grants: &Grants| serde_json::to_value(grants).ok()?.get(capability).cloned();
    of(grants) != of(&Grants::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(capability: &str, scope: &str) -> lifecycle::Wish {
        lifecycle::Wish {
            capability: capability.into(),
            scope: scope.into(),
            optional: false,
        }
    }

    fn grants() -> Grants {
        Grants {
            process: ProcessGrant {
                names: vec!["nginx".into()],
                units: vec!["db.service".into()],
                ..ProcessGrant::default()
            },
            probe: ProbeGrant {
                addresses: vec!["10.0.0.0/24".into()],
                ports: vec![80],
                ..ProbeGrant::default()
            },
            ..Grants::default()
        }
    }

    #[test]
    fn what_is_granted_needs_no_line() {
        for (capability, scope) in [
            ("process", "nginx"),
            ("process", "db.service"),
            ("process", "what the settings name"),
            ("probe", "10.0.0.5:80"),
            ("probe", "10.0.0.128/25:80"),
            ("probe", "what the settings name"),
        ] {
            let weighed = weigh(&wish(capability, scope), &grants());
            assert!(weighed.granted, "{weighed:?}");
            assert_eq!(weighed.line, None);
        }
    }

    #[test]
    fn what_lacks_has_the_line_to_paste_when_its_scope_names_something() {
        for (capability, scope, line) in [
            (
                "process",
                "ssh\"d",
                Some(
                    r#"permissions.process = { names = ["nginx", "ssh\"d"], units = ["db.service"] }"#,
                ),
            ),
            (
                "process",
                "/run/a.pid",
                Some(
                    r#"permissions.process = { names = ["nginx"], pid-files = ["/run/a.pid"], units = ["db.service"] }"#,
                ),
            ),
            (
                "probe",
                "[2001:db8::1]:443",
                Some(
                    r#"permissions.probe = { addresses = ["10.0.0.0/24", "2001:db8::1"], ports = [80, 443] }"#,
                ),
            ),
            (
                "probe",
                "10.0.0.0/8:80",
                Some(
                    r#"permissions.probe = { addresses = ["10.0.0.0/24", "10.0.0.0/8"], ports = [80] }"#,
                ),
            ),
            ("teleport", "mars", None),
        ] {
            let weighed = weigh(&wish(capability, scope), &grants());
            assert!(!weighed.granted, "{weighed:?}");
            assert_eq!(weighed.line.as_deref(), line);
        }
        let nothing = weigh(&wish("probe", "what the settings name"), &Grants::default());
        assert!(!nothing.granted);
    }
}
