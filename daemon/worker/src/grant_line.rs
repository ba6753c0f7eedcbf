//! The line of the configuration that would grant what was denied.
//!
//! It stands in `[plugin.permissions]` and holds what is granted already, so that it can replace
//! the line that is there.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use mainstay_protocol::{HttpGrant, ProbeGrant, ProcessGrant, SecretGrant, StateGrant};
use serde_json::Value;

/// `permissions.probe = { … }` for this grant.
#[must_use]
pub(crate) fn probe(grant: &ProbeGrant) -> String {
    peers("probe", grant)
}

/// `permissions.wasi-sockets = { … }` for this grant.
#[must_use]
pub(crate) fn sockets(grant: &ProbeGrant) -> String {
    peers("wasi-sockets", grant)
}

fn peers(key: &str, grant: &ProbeGrant) -> String {
    let sources: Vec<String> = grant.sources.iter().map(ToString::to_string).collect();
    let lists = [
        (
            "addresses",
            grant.addresses.len(),
            strings(&grant.addresses),
        ),
        ("ports", grant.ports.len(), list(&grant.ports)),
        ("sources", sources.len(), strings(&sources)),
        ("fwmarks", grant.fwmarks.len(), list(&grant.fwmarks)),
    ];
    let flags = [
        ("icmp", grant.icmp),
        ("unverified-tls", grant.unverified_tls),
    ];
    let lists = lists.into_iter().filter(|(_, length, _)| *length > 0);
    let flags = flags.into_iter().filter(|(_, set)| *set);
    let entries: Vec<String> = lists
        .map(|(key, _, values)| format!("{key} = {values}"))
        .chain(flags.map(|(key, _)| format!("{key} = true")))
        .collect();
    format!("permissions.{key} = {{ {} }}", entries.join(", "))
}

/// What a plugin asked of `process`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProcessKey {
    /// `names`.
    Name,
    /// `commands`.
    Command,
    /// `pid-files`.
    PidFile,
    /// `units`.
    Unit,
}

/// `permissions.process = { … }` with one more value of one key.
#[must_use]
pub(crate) fn process(granted: &ProcessGrant, key: ProcessKey, value: &str) -> String {
    let pid_files: Vec<String> = granted
        .pid_files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let keys = [
        (ProcessKey::Name, "names", &granted.names),
        (ProcessKey::Command, "commands", &granted.commands),
        (ProcessKey::PidFile, "pid-files", &pid_files),
        (ProcessKey::Unit, "units", &granted.units),
    ];
    let mut entries: Vec<String> = keys
        .into_iter()
        .map(|(this, name, values)| {
            let values = if this == key {
                with(values, value)
            } else {
                values.clone()
            };
            (name, values)
        })
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| format!("{name} = {}", strings(&values)))
        .collect();
    if granted.command_line {
        entries.push("command-line = true".to_owned());
    }
    format!("permissions.process = {{ {} }}", entries.join(", "))
}

/// `permissions.KEY = { … }` for this grant.
#[must_use]
pub(crate) fn urls(key: &str, grant: &HttpGrant) -> String {
    let texts = |values: &[_]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    let urls: Vec<String> = grant.urls.iter().map(ToString::to_string).collect();
    let mut entries = Vec::new();
    if !urls.is_empty() {
        entries.push(format!("urls = {}", strings(&urls)));
    }
    if grant.max_body != HttpGrant::BODY {
        entries.push(format!("max-body = \"{}B\"", grant.max_body));
    }
    if grant.unverified_tls {
        entries.push("unverified-tls = true".to_owned());
    }
    if !grant.sources.is_empty() {
        entries.push(format!("sources = {}", strings(&texts(&grant.sources))));
    }
    if !grant.fwmarks.is_empty() {
        entries.push(format!("fwmarks = {}", list(&grant.fwmarks)));
    }
    format!("permissions.{key} = {{ {} }}", entries.join(", "))
}

/// `permissions.files = [ … ]` with one more directory.
#[must_use]
pub(crate) fn files(granted: &[PathBuf], directory: &Path) -> String {
    let granted: Vec<String> = (granted.iter())
        .map(|one| one.display().to_string())
        .collect();
    let values = with(&granted, &directory.display().to_string());
    format!("permissions.files = {}", strings(&values))
}

/// `permissions.secrets = [ … ]` with one more name.
#[must_use]
pub(crate) fn secrets(granted: &[SecretGrant], name: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let entry = |grant: &SecretGrant| match &grant.file {
        None => quoted(&grant.name),
        Some(file) => format!(
            "{{ name = {}, file = {} }}",
            quoted(&grant.name),
            quoted(&file.display().to_string())
        ),
    };
    let mut entries: Vec<String> = granted.iter().map(entry).collect();
    entries.push(quoted(name));
    format!("permissions.secrets = {}", list(&entries))
}

/// `permissions.state = { … }`.
#[must_use]
pub(crate) fn state() -> String {
    let kib = StateGrant::default().size >> 10;
    format!("permissions.state = {{ size = \"{kib}KiB\" }}")
}

/// `permissions.fifo = [ … ]` with one more path.
#[must_use]
pub(crate) fn fifo(granted: &[PathBuf], path: &str) -> String {
    let granted: Vec<String> = granted.iter().map(|p| p.display().to_string()).collect();
    format!("permissions.fifo = {}", strings(&with(&granted, path)))
}

/// `permissions.units = [ … ]` with one more unit.
#[must_use]
pub(crate) fn units(granted: &[String], unit: &str) -> String {
    format!("permissions.units = {}", strings(&with(granted, unit)))
}

fn with(values: &[String], value: &str) -> Vec<String> {
    let mut values = values.to_vec();
    if !values.iter().any(|present| present == value) {
        values.push(value.to_owned());
    }
    values
}

/// A TOML array of strings. A basic string of TOML takes all that JSON's escapes can say.
fn strings(values: &[String]) -> String {
    let quoted: Vec<Value> = values.iter().map(|v| Value::from(v.as_str())).collect();
    list(&quoted)
}

fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_what_is_granted_already() {
        let granted = ProcessGrant {
            names: vec!["nginx".into()],
            units: vec!["nginx.service".into()],
            command_line: true,
            ..ProcessGrant::default()
        };
        assert_eq!(
            process(&granted, ProcessKey::Name, "ssh\"d"),
            r#"permissions.process = { names = ["nginx", "ssh\"d"], units = ["nginx.service"], command-line = true }"#
        );
        let granted = ProbeGrant {
            addresses: vec!["10.0.0.0/24".into()],
            ports: vec![80, 443],
            ..ProbeGrant::default()
        };
        assert_eq!(
            probe(&granted),
            r#"permissions.probe = { addresses = ["10.0.0.0/24"], ports = [80, 443] }"#
        );
        let granted = ProbeGrant {
            sources: vec!["10.0.0.1".parse().unwrap()],
            fwmarks: vec![7],
            icmp: true,
            unverified_tls: true,
            ..ProbeGrant::default()
        };
        assert_eq!(
            probe(&granted),
            r#"permissions.probe = { sources = ["10.0.0.1"], fwmarks = [7], icmp = true, unverified-tls = true }"#
        );
    }

    #[test]
    fn each_interface_has_its_line() {
        let granted = [SecretGrant {
            name: "a".to_owned(),
            file: Some("/etc/a".into()),
        }];
        assert_eq!(
            secrets(&granted, "db"),
            r#"permissions.secrets = [{ name = "a", file = "/etc/a" }, "db"]"#
        );
        assert_eq!(state(), r#"permissions.state = { size = "64KiB" }"#);
        assert_eq!(
            fifo(&["/run/a".into()], "/run/b"),
            r#"permissions.fifo = ["/run/a", "/run/b"]"#
        );
        assert_eq!(
            units(&[], "nginx.service"),
            r#"permissions.units = ["nginx.service"]"#
        );
    }
}
