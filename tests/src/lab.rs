//! Hosts on one Ethernet, each in namespaces of its own.

use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::namespace::Namespaces;
use crate::process::HostCommand;

/// The name of the interface by which every host is on the Ethernet.
pub const INTERFACE: &str = "eth0";

/// A switch and the directory for the files of the hosts. Gone, with all processes, when dropped.
pub struct Lab {
    switch: Namespaces,
    files: TempDir,
}

impl Lab {
    /// A switch without hosts. It floods multicast and starts to forward at once.
    ///
    /// # Errors
    /// When the kernel refuses namespaces or bridges.
    pub fn new() -> Result<Self> {
        let lab = Self {
            switch: Namespaces::new("switch")?,
            files: tempfile::Builder::new().prefix("mainstay-lab.").tempdir()?,
        };
        lab.switch_ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
        lab.switch_ip("link set dev br0 up")?;
        Ok(lab)
    }

    /// A host on the switch.
    ///
    /// # Errors
    /// When a namespace or a link cannot be made.
    pub fn host(&self, name: &str, address: Ipv4Addr) -> Result<Host> {
        let namespaces = Namespaces::new(name)?;
        let files = self.files.path().join(name);
        fs::create_dir(&files)?;
        let host = Host {
            name: name.to_owned(),
            address,
            namespaces,
            files,
        };
        self.attach(&host, INTERFACE)?;
        host.ip(&format!("addr add {address}/24 dev {INTERFACE}"))?;
        host.ip(&format!("link set dev {INTERFACE} up"))?;
        Ok(host)
    }

    /// Joins a host to the switch by an interface of this name, which is left down and without an
    /// address.
    ///
    /// # Errors
    /// When the host has an interface of that name.
    pub fn attach(&self, host: &Host, interface: &str) -> Result<()> {
        let port = port(host, interface);
        // The switch's process can only name the other namespace by a path outside both.
        self.switch.enter_network(|| {
            run_ip(&format!(
                "link add {port} type veth peer name {interface} netns {}",
                host.namespaces.network_path()
            ))?;
            run_ip(&format!("link set dev {port} master br0 up"))
        })
    }

    /// Pulls the cable of a host, at the switch: the host's interface loses its carrier.
    ///
    /// # Errors
    /// When the host is not on the switch.
    pub fn pull_cable(&self, host: &Host) -> Result<()> {
        self.switch_ip(&format!("link set dev {} down", port(host, INTERFACE)))
    }

    /// Plugs it in again.
    ///
    /// # Errors
    /// When the host is not on the switch.
    pub fn plug_cable(&self, host: &Host) -> Result<()> {
        self.switch_ip(&format!("link set dev {} up", port(host, INTERFACE)))
    }

    fn switch_ip(&self, arguments: &str) -> Result<()> {
        self.switch.enter_network(|| run_ip(arguments))
    }
}

/// One machine of the lab.
pub struct Host {
    name: String,
    address: Ipv4Addr,
    namespaces: Namespaces,
    files: PathBuf,
}

impl Host {
    /// Its name, which is its host name too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A directory of its own for logs and configurations.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// A command to be run on it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> HostCommand<'_> {
        HostCommand::new(self, program)
    }

    /// Runs `ip` with these arguments.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        self.command("ip").args(arguments.split(' ')).text()
    }

    /// Does something on a thread inside the host: sockets it makes are the host's.
    ///
    /// # Errors
    /// When the host's namespaces cannot be joined, or those of `what`.
    pub fn enter<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespaces.enter(what)
    }

    /// Does something on a thread that has the host's network and nothing else of it; threads that it
    /// starts have it too.
    ///
    /// # Errors
    /// When the namespace cannot be joined, or those of `what`.
    pub fn enter_network<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.namespaces.enter_network(what)
    }

    /// The IPv4 addresses of an interface, as `ADDRESS/LENGTH`; none when it does not exist.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn addresses(&self, interface: &str) -> Result<Vec<String>> {
        let links: Value = serde_json::from_str(&self.ip("-j -4 addr show")?)?;
        let of_the_interface = links
            .as_array()
            .into_iter()
            .flatten()
            .filter(|link| link["ifname"] == interface)
            .flat_map(|link| link["addr_info"].as_array().into_iter().flatten());
        Ok(of_the_interface
            .map(|info| {
                format!(
                    "{}/{}",
                    info["local"].as_str().unwrap_or_default(),
                    info["prefixlen"]
                )
            })
            .collect())
    }

    /// Whether it holds this address, on any interface.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn holds(&self, address: Ipv4Addr) -> Result<bool> {
        Ok(self
            .ip("-4 -o addr show")?
            .contains(&format!(" {address}/")))
    }

    /// The Ethernet address of its interface on the switch, in lower case with colons.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn mac(&self) -> Result<String> {
        let links: Value =
            serde_json::from_str(&self.ip(&format!("-j link show dev {INTERFACE}"))?)?;
        Ok(links[0]["address"]
            .as_str()
            .context("an interface without address")?
            .to_owned())
    }

    /// The Ethernet address at which it would send to a neighbour, as its ARP table has it now.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn neighbour(&self, address: Ipv4Addr) -> Result<Option<String>> {
        let entries: Value =
            serde_json::from_str(&self.ip(&format!("-j neigh show to {address}"))?)?;
        Ok(entries[0]["lladdr"].as_str().map(ToOwned::to_owned))
    }
}

/// The names of the hosts that hold an address.
///
/// # Errors
/// When one cannot be asked.
pub fn holders(hosts: &[&Host], address: Ipv4Addr) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for host in hosts {
        if host.holds(address)? {
            names.push(host.name().to_owned());
        }
    }
    Ok(names)
}

/// The name of the switch's port for an interface of a host, within the kernel's 15 bytes.
fn port(host: &Host, interface: &str) -> String {
    format!("{}-{interface}", host.name)
}

/// Runs `ip` in the network namespace of this thread.
fn run_ip(arguments: &str) -> Result<()> {
    let output = std::process::Command::new("ip")
        .args(arguments.split(' '))
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
