//! The line of the configuration that would grant what was denied.
//!
//! It stands in `[plugin.permissions]` and holds what is granted already, so that it can replace
//! the line that is there.

use std::fmt::Display;
use std::net::IpAddr;

use mainstay_protocol::{ProbeGrant, ProcessGrant};
use serde_json::Value;

/// `permissions.probe = { … }` with one more port and, unless a prefix covers it already, one more address.
#[must_use]
pub(crate) fn probe(granted: &ProbeGrant, address: Option<IpAddr>, port: u16) -> String {
    let mut addresses = granted.addresses.clone();
    addresses.extend(address.map(|address| address.to_string()));
    let mut ports = granted.ports.clone();
    if !ports.contains(&port) {
        ports.push(port);
    }
    format!(
        "permissions.probe = {{ addresses = {}, ports = {} }}",
        strings(&addresses),
        list(&ports)
    )
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
            ports: vec![80],
        };
        assert_eq!(
            probe(&granted, Some("10.0.1.1".parse().unwrap()), 80),
            r#"permissions.probe = { addresses = ["10.0.0.0/24", "10.0.1.1"], ports = [80] }"#
        );
        assert_eq!(
            probe(&granted, None, 443),
            r#"permissions.probe = { addresses = ["10.0.0.0/24"], ports = [80, 443] }"#
        );
    }
}
