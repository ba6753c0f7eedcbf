//! A host that has booted systemd, with Mainstay installed as `make install` does it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

use crate::lab::Host;
use crate::mainstay;
use crate::process::{self, Process};
use crate::wait::{self, SOON};

/// Makes a copy of this machine's files that takes changes in memory, installs into it and boots it
/// with the network of whoever runs this. `$1` is an empty directory, `$2` the source tree, `$3` cargo's
/// target directory.
const BOOT: &str = r#"
set -e
mount -t tmpfs -o mode=755 lab "$1"
mkdir "$1/changes" "$1/work" "$1/root"
root=$1/root
mount -t overlay -o lowerdir=/,upperdir="$1/changes",workdir="$1/work" root "$root"
: > "$root/etc/machine-id"
rm -rf "$root"/etc/systemd/system/*.wants "$root/etc/fstab" "$root/etc/mainstay"
mkdir -p "$root/var/log/journal"
make --no-print-directory -C "$2" install DESTDIR="$root" PREFIX=/usr CARGO_TARGET_DIR="$3"
exec systemd-nspawn --directory="$root" --boot --register=no --keep-unit --console=pipe --machine=lab \
    --network-namespace-path=/proc/self/ns/net --capability=CAP_NET_ADMIN,CAP_NET_RAW \
    --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
    -- --unit=basic.target systemd.journald.forward_to_console=0
"#;

/// A running systemd; gone with its host.
pub struct System {
    container: Process,
    /// Its PID 1, as seen from outside.
    leader: Pid,
}

impl System {
    /// Boots it on a host of the lab, whose network it uses, and makes the users that the units
    /// want.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(host: &Host) -> Result<Self> {
        let directory = host.files().join("system");
        fs::create_dir(&directory)?;
        let container = host
            .command("bash")
            .args(["-c", BOOT, "boot"])
            .arg(&directory)
            .args([mainstay::tree(), mainstay::target()])
            .spawn(&host.files().join("system.log"))?;
        let leader = wait::until(SOON, "systemd is PID 1", || {
            if let Some(status) = container.ended()? {
                bail!("no systemd: {status}: {}", container.log()?);
            }
            find(&container, "systemd", "1")
        })?;
        let system = Self { container, leader };
        wait::until_true(SOON, "systemd is up", || {
            let state = system.output(&["systemctl", "is-system-running"])?;
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            Ok(state == "running" || state == "degraded")
        })
        .with_context(|| system.container.log().unwrap_or_default())?;
        system.text(&["systemd-sysusers"])?;
        Ok(system)
    }

    /// Runs a command inside to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, command: &[&str]) -> Result<Output> {
        Command::new("nsenter")
            .arg(format!("--target={}", self.leader))
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
            ])
            .args(command)
            .output()
            .context("nsenter does not start")
    }

    /// Runs a command inside and returns what it printed.
    ///
    /// # Errors
    /// When it ends with another status than 0.
    pub fn text(&self, command: &[&str]) -> Result<String> {
        let output = self.output(command)?;
        if !output.status.success() {
            bail!(
                "{command:?}: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A property of a unit.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        Ok(self
            .text(&["systemctl", "show", "-P", name, unit])?
            .trim()
            .to_owned())
    }

    /// The journal of a unit, the messages only.
    ///
    /// # Errors
    /// When there is none.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.text(&["journalctl", "--no-pager", "--output=cat", "--unit", unit])
    }

    /// Writes a file inside.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = format!("/proc/{}/root{path}", self.leader);
        if let Some(directory) = Path::new(&path).parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(fs::write(path, text)?)
    }

    /// Puts a program of this machine inside.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn install(&self, program: &Path, path: &str) -> Result<()> {
        fs::copy(program, format!("/proc/{}/root{path}", self.leader))?;
        Ok(())
    }

    /// The main process of a unit, as seen from outside.
    ///
    /// # Errors
    /// When it has none.
    pub fn main_process(&self, unit: &str) -> Result<Pid> {
        let inside = self.property(unit, "MainPID")?;
        let comm = unit.strip_suffix(".service").unwrap_or(unit);
        find(&self.container, comm, &inside)?
            .with_context(|| format!("no process {inside} of {unit}"))
    }

    /// The process of this name that is started by systemd itself, as seen from outside.
    ///
    /// # Errors
    /// When there is none.
    pub fn service_process(&self, comm: &str) -> Result<Pid> {
        let found = process::children(self.leader)?
            .into_iter()
            .find(|pid| process::name(*pid).is_ok_and(|name| name == comm));
        found.with_context(|| format!("no process {comm}"))
    }
}

/// The process of this name that is known inside by this number.
fn find(container: &Process, comm: &str, inside: &str) -> Result<Option<Pid>> {
    Ok(process::descendants(container.pid())?
        .into_iter()
        .find(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            let last = numbers.and_then(|numbers| numbers.split_whitespace().last());
            last == Some(inside) && process::name(*pid).is_ok_and(|name| name == comm)
        }))
}
