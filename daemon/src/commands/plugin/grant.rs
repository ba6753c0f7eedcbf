//! `--grant`: a permission on the command line, as it would stand in the configuration.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use bytesize::ByteSize;
use ipnet::IpNet;
use mainstay_protocol::{Grants, SecretGrant, StateGrant, UrlError, UrlPrefix};

use crate::config::{may_be_given, secrets};

/// One permission, such as `process=nginx` or `probe=10.0.0.5:80`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Grant {
    /// `process` or `process.names`.
    Name(String),
    /// `process.commands`.
    Command(String),
    /// `process.pid-files`.
    PidFile(PathBuf),
    /// `process.units`.
    Unit(String),
    /// `process.command-line`.
    CommandLine(bool),
    /// `probe.addresses`.
    Address(String),
    /// `probe.ports`.
    Port(u16),
    /// `probe`: an address or network, and a port.
    Probe(String, u16),
    /// `probe.sources`.
    Source(IpAddr),
    /// `probe.fwmarks`.
    Mark(u32),
    /// `probe.icmp`.
    Icmp(bool),
    /// `probe.unverified-tls`.
    UnverifiedProbes(bool),
    /// `http` or `http.urls`.
    Url(UrlPrefix),
    /// `http.unverified-tls`.
    UnverifiedTls(bool),
    /// `wasi-http` or `wasi-http.urls`.
    WasiUrl(UrlPrefix),
    /// `wasi-sockets.addresses`.
    WasiAddress(String),
    /// `wasi-sockets.ports`.
    WasiPort(u16),
    /// `files`.
    Directory(PathBuf),
    /// `secrets`: a credential, or a name and a file.
    Secret(SecretGrant),
    /// `state` or `state.size`.
    State(u64),
    /// `routers`.
    Routers(bool),
    /// `services`.
    Services(bool),
    /// `units`.
    UnitState(String),
    /// `fifo`.
    Fifo(PathBuf),
}

impl Grant {
    /// Adds the permission to those that a plugin has.
    pub(crate) fn add_to(&self, grants: &mut Grants) {
        let Grants {
            process,
            probe,
            http,
            wasi_http,
            wasi_sockets,
            files,
            ..
        } = grants;
        match self.clone() {
            Self::Name(name) => process.names.push(name),
            Self::Command(command) => process.commands.push(command),
            Self::PidFile(path) => process.pid_files.push(path),
            Self::Unit(unit) => process.units.push(unit),
            Self::CommandLine(shown) => process.command_line = shown,
            Self::Address(address) => probe.addresses.push(address),
            Self::Port(port) => probe.ports.push(port),
            Self::Probe(address, port) => {
                probe.addresses.push(address);
                probe.ports.push(port);
            }
            Self::Source(source) => probe.sources.push(source),
            Self::Mark(mark) => probe.fwmarks.push(mark),
            Self::Icmp(allowed) => probe.icmp = allowed,
            Self::UnverifiedProbes(allowed) => probe.unverified_tls = allowed,
            Self::Url(url) => http.urls.push(url),
            Self::UnverifiedTls(allowed) => http.unverified_tls = allowed,
            Self::WasiUrl(url) => wasi_http.urls.push(url),
            Self::WasiAddress(address) => wasi_sockets.addresses.push(address),
            Self::WasiPort(port) => wasi_sockets.ports.push(port),
            Self::Directory(path) => files.push(path),
            Self::Secret(secret) => grants.secrets.push(secret),
            Self::State(size) => {
                grants.state = Some(StateGrant {
                    size,
                    persist: false,
                });
            }
            Self::Routers(granted) => grants.routers = granted,
            Self::Services(granted) => grants.services = granted,
            Self::UnitState(unit) => grants.units.push(unit),
            Self::Fifo(path) => grants.fifo.push(path),
        }
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (key, value) = text.split_once('=').ok_or(GrantError::Form)?;
        if value.is_empty() {
            return Err(GrantError::Form);
        }
        match key {
            "process" | "process.names" => Ok(Self::Name(value.to_owned())),
            "process.commands" => Ok(Self::Command(value.to_owned())),
            "process.pid-files" => Ok(Self::PidFile(PathBuf::from(value))),
            "process.units" => Ok(Self::Unit(value.to_owned())),
            "process.command-line" => flag(value).map(Self::CommandLine),
            "secrets" => secret(value).map(Self::Secret),
            "state" | "state.size" => match value.parse::<ByteSize>() {
                Ok(size) => Ok(Self::State(size.as_u64())),
                Err(_) => Err(GrantError::Size),
            },
            "routers" => flag(value).map(Self::Routers),
            "services" => flag(value).map(Self::Services),
            "units" => Ok(Self::UnitState(value.to_owned())),
            "fifo" => Ok(Self::Fifo(PathBuf::from(value))),
            "probe.addresses" => Ok(Self::Address(network(value)?)),
            "probe.ports" => Ok(Self::Port(port(value)?)),
            "probe.sources" => value
                .parse()
                .map(Self::Source)
                .map_err(|_| GrantError::Address),
            "probe.fwmarks" => match value.parse() {
                Ok(0) | Err(_) => Err(GrantError::Mark),
                Ok(mark) => Ok(Self::Mark(mark)),
            },
            "probe.icmp" => flag(value).map(Self::Icmp),
            "probe.unverified-tls" => flag(value).map(Self::UnverifiedProbes),
            "probe" => {
                let (address, number) = value.rsplit_once(':').ok_or(GrantError::Address)?;
                let address = address.trim_start_matches('[').trim_end_matches(']');
                Ok(Self::Probe(network(address)?, port(number)?))
            }
            "http" | "http.urls" => Ok(Self::Url(value.parse()?)),
            "http.unverified-tls" => value
                .parse()
                .map(Self::UnverifiedTls)
                .map_err(|_| GrantError::Flag),
            "wasi-http" | "wasi-http.urls" => Ok(Self::WasiUrl(value.parse()?)),
            "wasi-sockets.addresses" => Ok(Self::WasiAddress(network(value)?)),
            "wasi-sockets.ports" => Ok(Self::WasiPort(port(value)?)),
            "files" => directory(value).map(Self::Directory),
            _ => Err(GrantError::Unknown),
        }
    }
}

/// The options that say what a line of the configuration says. None for what a shell might read
/// otherwise: the plugin has chosen part of it.
pub(super) fn options(line: &str) -> Option<String> {
    let table: toml::Table = line.parse().ok()?;
    let mut options = Vec::new();
    for (capability, granted) in table.get("permissions")?.as_table()? {
        let keys: Vec<(String, &toml::Value)> = match granted {
            toml::Value::Table(keys) => {
                let keys = keys.iter();
                keys.map(|(key, value)| (format!("{capability}.{key}"), value))
                    .collect()
            }
            value => vec![(capability.clone(), value)],
        };
        for (key, value) in keys {
            let values = match value {
                toml::Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            for value in values {
                let value = match value {
                    toml::Value::String(text) => text.clone(),
                    toml::Value::Table(secret) => {
                        let text = |key| secret.get(key)?.as_str();
                        format!("{}:{}", text("name")?, text("file")?)
                    }
                    value => value.to_string(),
                };
                let option = format!("{key}={value}");
                option.parse::<Grant>().ok()?;
                let odd = |c: char| !(c.is_ascii_alphanumeric() || "._-:/=@+".contains(c));
                if option.contains(odd) {
                    return None;
                }
                options.push(format!("--grant {option}"));
            }
        }
    }
    Some(options.join(" "))
}

fn flag(text: &str) -> Result<bool, GrantError> {
    text.parse().map_err(|_| GrantError::Flag)
}

/// `NAME` or `NAME:FILE`.
fn secret(text: &str) -> Result<SecretGrant, GrantError> {
    let (name, file) = match text.split_once(':') {
        Some((name, file)) if !file.is_empty() => (name, Some(PathBuf::from(file))),
        Some(_) => return Err(GrantError::Secret),
        None => (text, None),
    };
    if !secrets::is_name(name) {
        return Err(GrantError::Secret);
    }
    Ok(SecretGrant {
        name: name.to_owned(),
        file,
    })
}

fn network(text: &str) -> Result<String, GrantError> {
    if text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(GrantError::Address)
    }
}

fn directory(text: &str) -> Result<PathBuf, GrantError> {
    Some(PathBuf::from(text))
        .filter(|path| may_be_given(path))
        .ok_or(GrantError::Directory)
}

fn port(text: &str) -> Result<u16, GrantError> {
    match text.parse() {
        Ok(0) | Err(_) => Err(GrantError::Port),
        Ok(port) => Ok(port),
    }
}

/// Why a text is no [`Grant`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum GrantError {
    /// Not `KEY=VALUE`.
    #[error("write KEY=VALUE, such as process=nginx or probe=10.0.0.5:80")]
    Form,
    /// There is no such key.
    #[error(
        "there is no such permission; there are process, process.names, process.commands, \
         process.pid-files, process.units, process.command-line, probe, probe.addresses, \
         probe.ports, probe.sources, probe.fwmarks, probe.icmp, probe.unverified-tls, http, \
         http.unverified-tls, wasi-http, wasi-sockets.addresses, wasi-sockets.ports, \
         files, secrets, state, routers, services, units and fifo"
    )]
    Unknown,
    /// Not a secret's name, or no file behind it.
    #[error(
        "write the name of a credential, or a name and a file, such as db-password:/etc/db-password"
    )]
    Secret,
    /// Not a size.
    #[error("write a size, such as 64KiB")]
    Size,
    /// Not a truth value.
    #[error("write true or false")]
    Flag,
    /// Not an address.
    #[error(
        "write an address or a network, such as 10.0.0.5 or 10.0.0.0/24, and for probe a port behind it"
    )]
    Address,
    /// Not a port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// Not a mark.
    #[error("a mark is a number from 1 to 4294967295")]
    Mark,
    /// Not what a URL begins with.
    #[error("this is no URL to grant: {0}")]
    Url(#[from] UrlError),
    /// Not a directory for plugins.
    #[error("write the absolute path of a directory made for it, not in /proc, /sys, /dev or /etc")]
    Directory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_as_they_stand_in_the_configuration() {
        let mut grants = Grants::default();
        for text in [
            "process=nginx",
            "process.commands=java",
            "process.pid-files=/run/a.pid",
            "process.units=a.service",
            "process.command-line=true",
            "probe=10.0.0.5:80",
            "probe=[::1]:443",
            "probe.addresses=10.1.0.0/16",
            "probe.ports=8080",
            "http=http://10.0.0.0/24:80/healthz",
            "http.urls=https://www.example.com/",
            "http.unverified-tls=true",
            "wasi-http=http://[::1]/",
            "wasi-sockets.addresses=10.2.0.0/16",
            "wasi-sockets.ports=53",
            "files=/srv/app/health",
            "secrets=db-password",
            "secrets=token:/etc/token",
            "state=1KiB",
            "routers=true",
            "services=true",
            "units=nginx.service",
            "fifo=/run/events",
        ] {
            text.parse::<Grant>().unwrap().add_to(&mut grants);
        }
        assert_eq!(grants.process.names, ["nginx"]);
        assert_eq!(grants.process.commands, ["java"]);
        assert_eq!(grants.process.pid_files, [PathBuf::from("/run/a.pid")]);
        assert_eq!(grants.process.units, ["a.service"]);
        assert!(grants.process.command_line);
        assert_eq!(grants.probe.addresses, ["10.0.0.5", "::1", "10.1.0.0/16"]);
        assert_eq!(grants.probe.ports, [80, 443, 8080]);
        let urls: Vec<String> = grants.http.urls.iter().map(ToString::to_string).collect();
        assert_eq!(
            urls,
            ["http://10.0.0.0/24:80/healthz", "https://www.example.com/"]
        );
        assert!(grants.http.unverified_tls && !grants.wasi_http.unverified_tls);
        assert_eq!(grants.wasi_http.urls[0].to_string(), "http://[::1]/");
        assert_eq!(grants.wasi_sockets.addresses, ["10.2.0.0/16"]);
        assert_eq!(grants.wasi_sockets.ports, [53]);
        assert_eq!(grants.files, [PathBuf::from("/srv/app/health")]);
        let secrets = grants.secrets.iter();
        let secrets: Vec<_> = secrets.map(|s| (s.name.as_str(), s.file.clone())).collect();
        let file = Some(PathBuf::from("/etc/token"));
        assert_eq!(secrets, [("db-password", None), ("token", file)]);
        assert_eq!(grants.state.unwrap().size, 1024);
        assert!(grants.routers && grants.services);
        assert_eq!(grants.units, ["nginx.service"]);
        assert_eq!(grants.fifo, [PathBuf::from("/run/events")]);
    }

    #[test]
    fn what_is_no_grant_says_why() {
        for (text, error) in [
            ("process", GrantError::Form),
            ("process=", GrantError::Form),
            ("html=x", GrantError::Unknown),
            ("http=x", GrantError::Url(UrlError::Scheme)),
            (
                "http=http://10.0.0.0/24",
                GrantError::Url(UrlError::NetworkWithoutPort),
            ),
            ("files=/", GrantError::Directory),
            ("files=srv", GrantError::Directory),
            ("files=/srv/../proc", GrantError::Directory),
            ("files=/proc/self", GrantError::Directory),
            ("process.command-line=yes", GrantError::Flag),
            ("probe=10.0.0.5", GrantError::Address),
            ("probe=host:80", GrantError::Address),
            ("probe=10.0.0.5:0", GrantError::Port),
            ("probe.ports=http", GrantError::Port),
            ("probe.sources=10.0.0.0/24", GrantError::Address),
            ("probe.fwmarks=0", GrantError::Mark),
            ("probe.icmp=on", GrantError::Flag),
            ("secrets=../shadow", GrantError::Secret),
            ("secrets=token:", GrantError::Secret),
            ("state=much", GrantError::Size),
            ("routers=yes", GrantError::Flag),
        ] {
            assert_eq!(text.parse::<Grant>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_line_of_the_configuration_is_said_in_options() {
        for (line, expected) in [
            (
                "permissions.process = { names = [\"nginx\"], command-line = true }",
                Some("--grant process.command-line=true --grant process.names=nginx"),
            ),
            (
                "permissions.probe = { addresses = [\"10.0.0.5\"], ports = [80] }",
                Some("--grant probe.addresses=10.0.0.5 --grant probe.ports=80"),
            ),
            (
                "permissions.probe = { sources = [\"10.0.0.9\"], fwmarks = [7], icmp = true, unverified-tls = true }",
                Some(
                    "--grant probe.fwmarks=7 --grant probe.icmp=true --grant probe.sources=10.0.0.9 \
                     --grant probe.unverified-tls=true",
                ),
            ),
            ("permissions.process = { names = [\"$(reboot)\"] }", None),
            ("permissions.routers = true", Some("--grant routers=true")),
            (
                "permissions.secrets = [\"a\", { name = \"b\", file = \"/b\" }]",
                Some("--grant secrets=a --grant secrets=b:/b"),
            ),
            ("nonsense", None),
        ] {
            let mut words: Option<Vec<_>> =
                options(line).map(|text| text.split(" --").map(str::to_owned).collect());
            if let Some(words) = &mut words {
                words[0] = words[0].trim_start_matches("--").to_owned();
                words.sort();
            }
            let expected: Option<Vec<String>> = expected.map(|text| {
                text.trim_start_matches("--")
                    .split(" --")
                    .map(str::to_owned)
                    .collect()
            });
            assert_eq!(words, expected, "{line}");
        }
    }
}
