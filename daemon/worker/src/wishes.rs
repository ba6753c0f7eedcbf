//! What a plugin would like, beside what it is granted.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use ipnet::IpNet;
use mainstay_protocol::{
    Grants, HttpGrant, ProbeGrant, ProbeRules, ProcessGrant, SecretGrant, UrlPrefix, Wish,
    canonical, opens,
};

use crate::bindings::lifecycle;
use crate::grant_line::{self, ProcessKey};
use crate::text::one_line;

/// The longest capability and scope, in bytes.
const TEXT: usize = 256;
/// The longest line, in bytes: one that nobody could read is left out.
const LINE: usize = 4096;

/// A wish with what becomes of it: whether it is granted, and else the line that would grant it.
///
/// A scope is what the plugin's author wrote. One that names nothing, such as "what the settings
/// name", counts as granted as soon as anything of its capability is.
#[must_use]
pub(crate) fn weigh(wish: &lifecycle::Wish, grants: &Grants) -> Wish {
    let capability = one_line(&wish.capability, TEXT);
    let scope = one_line(wish.scope.trim(), TEXT);
    let weighed = match capability.as_str() {
        "process" => process(&scope, &grants.process),
        "probe" => peer(&scope, &grants.probe, grant_line::probe),
        "http" => url("http", &scope, &grants.http),
        "wasi-http" => url("wasi-http", &scope, &grants.wasi_http),
        "wasi-sockets" => peer(&scope, &grants.wasi_sockets, grant_line::sockets),
        "files" => files(&scope, grants),
        "secrets" => secret(&scope, &grants.secrets),
        "units" => is_unit(&scope).then(|| {
            let granted = grants.units.contains(&scope);
            (granted, grant_line::units(&grants.units, &scope))
        }),
        "fifo" => pipe(&scope, &grants.fifo),
        "state" => Some((grants.state.is_some(), grant_line::state())),
        "routers" => Some((grants.routers, "permissions.routers = true".to_owned())),
        "services" => Some((grants.services, "permissions.services = true".to_owned())),
        _ => None,
    };
    let (granted, line) = match weighed {
        // Cut or escaped, it is not what the plugin will ask for.
        _ if scope != wish.scope.trim() => (false, None),
        Some((granted, line)) => (granted, Some(line)),
        None => (anything(&capability, grants), None),
    };
    Wish {
        capability,
        scope,
        optional: wish.optional,
        granted,
        line: line.filter(|line| !granted && line.len() <= LINE),
    }
}

/// Whether what a scope names is granted, and the line that grants it; nothing when it names nothing.
type Weighed = Option<(bool, String)>;

fn process(scope: &str, grant: &ProcessGrant) -> Weighed {
    if scope.is_empty() || scope.contains(char::is_whitespace) {
        return None;
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
    Some((granted, grant_line::process(grant, key, scope)))
}

fn is_unit(scope: &str) -> bool {
    let suffixes = [".service", ".scope", ".socket", ".slice"];
    suffixes.iter().any(|suffix| scope.ends_with(suffix))
}

fn peer(scope: &str, grant: &ProbeGrant, line: fn(&ProbeGrant) -> String) -> Weighed {
    let (wanted, port) = endpoint(scope)?;
    let covered = match single(&wanted) {
        Some(address) => {
            let rules = ProbeRules::new(grant.clone()).unwrap_or_default();
            canonical(address).is_some_and(|address| rules.covers(address))
        }
        None => {
            let mut granted = grant.addresses.iter().filter_map(|text| network(text));
            granted.any(|network| network.contains(&wanted) && opens(&network, wanted.network()))
        }
    };
    let mut amended = grant.clone();
    if !covered {
        let single = single(&wanted).map(|address| address.to_string());
        let address = single.unwrap_or_else(|| wanted.to_string());
        amended.addresses.push(address);
    }
    if !grant.ports.contains(&port) {
        amended.ports.push(port);
    }
    Some((covered && grant.ports.contains(&port), line(&amended)))
}

/// An address or a network, and a port behind it.
fn endpoint(scope: &str) -> Option<(IpNet, u16)> {
    let (address, port) = scope.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some((network(address)?, port))
}

fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().ok().map(IpNet::from);
    address.or_else(|| text.parse().ok())
}

/// The address of a network of one.
fn single(network: &IpNet) -> Option<IpAddr> {
    (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
}

fn url(key: &str, scope: &str, grant: &HttpGrant) -> Weighed {
    let wanted: UrlPrefix = scope.parse().ok()?;
    let granted = grant.urls.iter().any(|prefix| prefix.includes(&wanted));
    let mut amended = grant.clone();
    amended.urls.push(wanted);
    Some((granted, grant_line::urls(key, &amended)))
}

fn files(scope: &str, grants: &Grants) -> Weighed {
    let wanted = Path::new(scope);
    if !wanted.is_absolute() {
        return None;
    }
    let leads_up = wanted.components().any(|part| part == Component::ParentDir);
    let within = (grants.files.iter()).any(|directory| wanted.starts_with(directory));
    let granted = within && !leads_up;
    Some((granted, grant_line::files(&grants.files, wanted)))
}

fn secret(scope: &str, grants: &[SecretGrant]) -> Weighed {
    if scope.is_empty() || scope.contains(char::is_whitespace) {
        return None;
    }
    let granted = grants.iter().any(|grant| grant.name == scope);
    Some((granted, grant_line::secrets(grants, scope)))
}

fn pipe(scope: &str, grants: &[PathBuf]) -> Weighed {
    let wanted = Path::new(scope);
    let granted = grants.iter().any(|pipe| pipe == wanted);
    wanted
        .is_absolute()
        .then(|| (granted, grant_line::fifo(grants, scope)))
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
            http: HttpGrant {
                urls: vec!["http://10.0.0.0/24:80/status".parse().unwrap()],
                ..HttpGrant::default()
            },
            files: vec!["/srv/app".into()],
            secrets: vec![SecretGrant {
                name: "token".to_owned(),
                file: None,
            }],
            services: true,
            fifo: vec!["/run/app".into()],
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
            ("http", "http://10.0.0.7/status/db"),
            ("files", "/srv/app/health"),
            ("secrets", "token"),
            ("secrets", "what the settings name"),
            ("services", ""),
            ("fifo", "/run/app"),
            ("files", "its own directory"),
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
            // Which a network does not open.
            (
                "probe",
                "127.0.0.1:80",
                Some(
                    r#"permissions.probe = { addresses = ["10.0.0.0/24", "127.0.0.1"], ports = [80] }"#,
                ),
            ),
            (
                "http",
                "https://www.example.com/",
                Some(
                    r#"permissions.http = { urls = ["http://10.0.0.0/24:80/status", "https://www.example.com/"] }"#,
                ),
            ),
            (
                "wasi-http",
                "http://10.0.0.7/status",
                Some(r#"permissions.wasi-http = { urls = ["http://10.0.0.7/status"] }"#),
            ),
            (
                "wasi-sockets",
                "10.0.0.7:53",
                Some(r#"permissions.wasi-sockets = { addresses = ["10.0.0.7"], ports = [53] }"#),
            ),
            (
                "files",
                "/srv/a\"b",
                Some(r#"permissions.files = ["/srv/app", "/srv/a\"b"]"#),
            ),
            // Which the configuration refuses in its turn.
            (
                "files",
                "/srv/app/../b",
                Some(r#"permissions.files = ["/srv/app", "/srv/app/../b"]"#),
            ),
            (
                "secrets",
                "db",
                Some(r#"permissions.secrets = ["token", "db"]"#),
            ),
            (
                "state",
                "",
                Some(r#"permissions.state = { size = "64KiB" }"#),
            ),
            ("routers", "VI_1", Some("permissions.routers = true")),
            (
                "units",
                "db.service",
                Some(r#"permissions.units = ["db.service"]"#),
            ),
            (
                "fifo",
                "/run/other",
                Some(r#"permissions.fifo = ["/run/app", "/run/other"]"#),
            ),
            ("wasi-http", "what the settings name", None),
            ("teleport", "mars", None),
            // What would steer a terminal, or be too long to read.
            ("process", "a\u{9b}2J", None),
            ("process", "a\u{202e}b", None),
        ] {
            let weighed = weigh(&wish(capability, scope), &grants());
            assert!(!weighed.granted, "{weighed:?}");
            assert_eq!(weighed.line.as_deref(), line);
        }
        let long = weigh(&wish("process", &"x".repeat(TEXT + 1)), &Grants::default());
        assert_eq!(
            (long.granted, long.line, long.scope.len()),
            (false, None, TEXT)
        );
        let nothing = weigh(&wish("probe", "what the settings name"), &Grants::default());
        assert!(!nothing.granted);
    }
}
