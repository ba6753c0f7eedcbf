//! The processes of this machine, as the kernel tells them in `/proc`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use procfs_core::FromRead;
use procfs_core::process::{Stat, Status};
use tokio::sync::Mutex;

/// How long one look serves all runs.
const FRESH: Duration = Duration::from_millis(250);
/// Processes looked at, at most: four times the kernel's usual default of pids.
const MOST: usize = 131_072;
/// Bytes of one file of `/proc` that are read; a process chooses its command line itself.
const READ: u64 = 4096;
/// Bytes of a pid file that are read.
const PID_FILE: u64 = 64;
/// The kernel keeps this many bytes of a name.
const NAME: usize = 15;

/// What a look at a process reads besides its state: only what some plugin may ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Command lines, since a plugin may ask by command.
    pub(crate) commands: bool,
    /// Control groups, since a plugin may ask by unit.
    pub(crate) units: bool,
}

/// The table of processes, read again when it is older than a quarter of a second.
#[derive(Debug)]
pub(crate) struct ProcTable {
    look: Look,
    last: Mutex<Option<(Instant, Arc<Vec<Proc>>)>>,
}

/// One process. Zombies are not in the table.
#[derive(Debug)]
pub(super) struct Proc {
    pub(super) stat: Stat,
    command: Option<Vec<u8>>,
    control_groups: Option<Vec<u8>>,
}

impl ProcTable {
    /// A table that reads what `look` says.
    #[must_use]
    pub(crate) fn new(look: Look) -> Self {
        Self {
            look,
            last: Mutex::default(),
        }
    }

    /// All processes. Many callers at once cause one look.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(super) async fn all(&self) -> io::Result<Arc<Vec<Proc>>> {
        let mut last = self.last.lock().await;
        if let Some((at, processes)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(processes.clone());
        }
        let look = self.look;
        let at = Instant::now();
        let processes = Arc::new(blocking(move || scan(look)).await?);
        *last = Some((at, processes.clone()));
        Ok(processes)
    }
}

impl Proc {
    /// Whether it has this name, as far as the kernel keeps names.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let kept = &name.as_bytes()[..name.len().min(NAME)];
        self.stat.comm.as_bytes() == kept
    }

    /// Whether the base name of its first argument is this.
    pub(super) fn has_command(&self, command: &str) -> bool {
        let Some(line) = &self.command else {
            return false;
        };
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let base = first.rsplit(|byte| *byte == b'/').next();
        base == Some(command.as_bytes())
    }

    /// Whether it belongs to the control group of this systemd unit, or to one below it.
    pub(super) fn is_of_unit(&self, unit: &str) -> bool {
        let Some(groups) = &self.control_groups else {
            return false;
        };
        groups.split(|byte| *byte == b'\n').any(|line| {
            // hierarchy:controllers:path; systemd's own are "0::" and "name=systemd"
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let (Some(_), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                return false;
            };
            matches!(controllers, b"" | b"name=systemd")
                && path
                    .split(|byte| *byte == b'/')
                    .any(|part| part == unit.as_bytes())
        })
    }

    /// Age, from the machine's time since boot. 0 when the clock cannot tell.
    pub(super) fn age(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        );
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let started = Duration::from_millis(self.stat.starttime.saturating_mul(1000) / ticks);
        now.saturating_sub(started)
    }
}

/// The effective user and, when asked for, the command line of a process, cut to 4 KiB.
///
/// `None` when it is gone by now.
pub(super) async fn details(pid: i32, command_line: bool) -> Option<(u32, Option<Vec<String>>)> {
    blocking(move || {
        let directory = Path::new("/proc").join(pid.to_string());
        let status = Status::from_read(File::open(directory.join("status"))?.take(READ))
            .map_err(io::Error::other)?;
        let arguments = command_line
            .then(|| read(&directory.join("cmdline"), READ))
            .transpose()?;
        Ok((status.euid, arguments.map(|line| arguments_of(&line))))
    })
    .await
    .ok()
}

fn arguments_of(line: &[u8]) -> Vec<String> {
    let line = line.strip_suffix(&[0]).unwrap_or(line);
    line.split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect()
}

/// The pid that a file holds; `None` when there is no such file, which is how a service that does
/// not run is told.
///
/// # Errors
/// When the file is there but cannot be read or holds no number.
pub(super) async fn pid_from(file: &Path) -> io::Result<Option<i32>> {
    let file = file.to_owned();
    blocking(move || {
        let text = match read(&file, PID_FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let number = std::str::from_utf8(first)
            .ok()
            .and_then(|t| t.trim().parse::<i32>().ok());
        match number {
            Some(pid) if pid > 0 => Ok(Some(pid)),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    })
    .await
}

fn scan(look: Look) -> io::Result<Vec<Proc>> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let is_pid = name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
        // A process that ends while it is looked at is none.
        if is_pid && let Ok(Some(process)) = look_at(&entry.path(), look) {
            processes.push(process);
        }
        if processes.len() == MOST {
            break;
        }
    }
    Ok(processes)
}

fn look_at(directory: &Path, look: Look) -> io::Result<Option<Proc>> {
    let stat = Stat::from_read(File::open(directory.join("stat"))?.take(READ))
        .map_err(io::Error::other)?;
    if matches!(stat.state, 'Z' | 'X' | 'x') {
        return Ok(None);
    }
    let optional = |wanted: bool, name| {
        wanted
            .then(|| read(&directory.join(name), READ))
            .transpose()
    };
    Ok(Some(Proc {
        command: optional(look.commands, "cmdline")?,
        control_groups: optional(look.units, "cgroup")?,
        stat,
    }))
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: a named pipe in place of a pid file must not hold up a thread.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Look = Look {
        commands: true,
        units: true,
    };

    #[test]
    fn this_process_is_in_the_table() {
        let processes = scan(ALL).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = processes.iter().find(|p| p.stat.pid == pid).unwrap();
        assert!(me.has_name(&me.stat.comm));
        let executable = std::env::args().next().unwrap();
        let base = executable.rsplit('/').next().unwrap();
        assert!(me.has_command(base));
        assert!(!me.has_command(&executable) || base == executable);
    }

    #[test]
    fn a_zombie_is_no_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let state = || Stat::from_file(format!("/proc/{pid}/stat")).unwrap().state;
        while state() != 'Z' {
            std::thread::yield_now();
        }
        assert!(
            scan(Look::default())
                .unwrap()
                .iter()
                .all(|p| p.stat.pid != pid)
        );
        child.wait().unwrap();
    }

    #[test]
    fn a_unit_is_a_whole_part_of_systemds_path() {
        let with = |groups: &str| Proc {
            stat: Stat::from_file("/proc/self/stat").unwrap(),
            command: None,
            control_groups: Some(groups.into()),
        };
        let unified = with("0::/system.slice/nginx.service/worker\n");
        assert!(unified.is_of_unit("nginx.service"));
        assert!(!unified.is_of_unit("nginx"));
        assert!(!unified.is_of_unit("inx.service"));
        let hybrid =
            with("4:cpu:/other.service\n1:name=systemd:/system.slice/nginx.service\n0::/\n");
        assert!(hybrid.is_of_unit("nginx.service"));
        assert!(!hybrid.is_of_unit("other.service"));
    }

    #[test]
    fn a_long_name_matches_as_far_as_the_kernel_keeps_it() {
        let mut process = scan(Look::default()).unwrap().remove(0);
        process.stat.comm = "a-name-of-fifte".into();
        assert!(process.has_name("a-name-of-fifteen-bytes"));
        assert!(process.has_name("a-name-of-fifte"));
        assert!(!process.has_name("a-name-of-fift"));
    }
}
