//! The processes of this machine, as the kernel tells them in `/proc`.

mod comms;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex as Lock};
use std::time::{Duration, Instant};

use mainstay_protocol::ProcessGrant;
use procfs_core::FromRead;
use procfs_core::process::{Stat, Status};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use tokio::sync::Mutex;

use crate::tally::lock;
use comms::Comms;

/// How long one look serves all runs.
const FRESH: Duration = Duration::from_millis(250);
/// Processes looked at, at most: four times the kernel's usual default of pids.
const MOST: usize = 131_072;
/// Bytes of one file of `/proc` that are read; a process chooses its command line itself.
const READ: usize = 4096;
/// Bytes of a pid file that are read.
const PID_FILE: u64 = 64;
/// The kernel keeps this many bytes of a name.
const NAME: usize = 15;

/// Bytes of the list of processes that are read at a time.
const LIST: usize = 32 << 10;

/// What is looked for: all that some plugin may ask for. Nothing is kept of other processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Names, as far as the kernel keeps them.
    names: BTreeSet<Vec<u8>>,
    commands: BTreeSet<Vec<u8>>,
    units: BTreeSet<Vec<u8>>,
}

impl Look {
    /// What these grants allow to ask for.
    pub(crate) fn of<'a>(grants: impl Iterator<Item = &'a ProcessGrant>) -> Self {
        let mut look = Self::default();
        let bytes = |text: &String| text.as_bytes().to_vec();
        for grant in grants {
            let names = grant.names.iter();
            look.names.extend(names.map(|name| kept(name).to_vec()));
            look.commands.extend(grant.commands.iter().map(bytes));
            look.units.extend(grant.units.iter().map(bytes));
        }
        look
    }
}

/// The processes that plugins may ask for, looked up again when that was a quarter of a second ago.
#[derive(Debug)]
pub(crate) struct ProcTable {
    look: Arc<Look>,
    comms: Arc<Lock<Comms>>,
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
    /// A table of what `look` says, which keeps at most so many files open between two looks.
    #[must_use]
    pub(crate) fn new(look: Look, open: usize) -> Self {
        Self {
            look: Arc::new(look),
            comms: Arc::new(Lock::new(Comms::new(open))),
            last: Mutex::default(),
        }
    }

    /// All processes that plugins may ask for by name, command or unit. Many callers at once cause
    /// one look.
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
        let (look, comms) = (self.look.clone(), self.comms.clone());
        let at = Instant::now();
        let processes = Arc::new(blocking(move || scan(&look, &mut lock(&comms))).await?);
        *last = Some((at, processes.clone()));
        Ok(processes)
    }
}

impl Proc {
    /// Whether it has this name, as far as the kernel keeps names.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.stat.comm.as_bytes() == kept(name)
    }

    /// Whether the base name of its first argument is this.
    pub(super) fn has_command(&self, command: &str) -> bool {
        let line = self.command.as_deref();
        line.is_some_and(|line| base_name(line) == command.as_bytes())
    }

    /// Whether it belongs to the control group of this systemd unit, or to one below it.
    pub(super) fn is_of_unit(&self, unit: &str) -> bool {
        let groups = self.control_groups.as_deref();
        groups.is_some_and(|groups| units(groups).any(|part| part == unit.as_bytes()))
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

/// The part of a name that the kernel keeps.
fn kept(name: &str) -> &[u8] {
    &name.as_bytes()[..name.len().min(NAME)]
}

/// The base name of the first argument of a command line.
fn base_name(line: &[u8]) -> &[u8] {
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let parts = first.rsplit(|byte| *byte == b'/');
    parts.into_iter().next().unwrap_or_default()
}

/// The parts of the control groups that systemd has put a process into: its unit, and those around
/// it.
fn units(groups: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = groups.split(|byte| *byte == b'\n');
    let paths = lines.filter_map(|line| {
        // hierarchy:controllers:path; systemd's own are "0::" and "name=systemd"
        let mut parts = line.splitn(3, |byte| *byte == b':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        matches!(controllers, b"" | b"name=systemd").then_some(path)
    });
    paths.flat_map(|path| path.split(|byte| *byte == b'/'))
}

/// The effective user and, when asked for, the command line of a process, cut to 4 KiB.
///
/// `None` when it is gone by now.
pub(super) async fn details(pid: i32, command_line: bool) -> Option<(u32, Option<Vec<String>>)> {
    blocking(move || {
        let directory = Path::new("/proc").join(pid.to_string());
        let status = Status::from_read(File::open(directory.join("status"))?.take(READ as u64))
            .map_err(io::Error::other)?;
        let arguments = command_line
            .then(|| read(&directory.join("cmdline"), READ as u64))
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

/// The process whose pid a file holds, as it is now; `None` when there is no such file, which is how
/// a service that does not run is told, or no such process.
///
/// # Errors
/// When the file is there but cannot be read or holds no number.
pub(super) async fn of_pid_file(file: &Path) -> io::Result<Option<Proc>> {
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
        let Some(pid) = number.filter(|pid| *pid > 0) else {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        };
        let stat = Stat::from_file(format!("/proc/{pid}/stat")).ok();
        Ok(stat.filter(lives).map(|stat| Proc {
            stat,
            command: None,
            control_groups: None,
        }))
    })
    .await
}

/// Whether it is more than a process that nobody has waited for yet.
fn lives(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x')
}

/// Looks at every process, and at all of one only if it is looked for: most of the cost of a look
/// is what it reads of the others.
fn scan(look: &Look, comms: &mut Comms) -> io::Result<Vec<Proc>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = Directory {
        proc: openat(CWD, "/proc", flags, Mode::empty())?,
        path: String::new(),
        buffer: [0; READ],
        comms,
    };
    let list = directory.proc.try_clone()?;
    let mut space = vec![MaybeUninit::uninit(); LIST];
    let mut entries = RawDir::new(&list, &mut space);
    let (mut processes, mut seen) = (Vec::new(), 0);
    while seen < MOST
        && let Some(entry) = entries.next()
    {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !name.iter().all(u8::is_ascii_digit) {
            continue;
        }
        seen += 1;
        // A process that ends while it is looked at is none.
        if let Ok(pid) = std::str::from_utf8(name)
            && let Ok(Some(process)) = directory.look_at(pid, look)
        {
            processes.push(process);
        }
    }
    directory.comms.end();
    Ok(processes)
}

/// `/proc`, and room for what is read there.
struct Directory<'a> {
    proc: OwnedFd,
    path: String,
    buffer: [u8; READ],
    comms: &'a mut Comms,
}

impl Directory<'_> {
    fn look_at(&mut self, pid: &str, look: &Look) -> io::Result<Option<Proc>> {
        let mut wanted = false;
        if !look.names.is_empty() {
            let name = self.comms.read(&self.proc, pid, &mut self.buffer)?;
            wanted |= look.names.contains(name);
        }
        let (mut command, mut control_groups) = (None, None);
        if !look.commands.is_empty() {
            let line = self.read(pid, "cmdline")?;
            if look.commands.contains(base_name(line)) {
                command = Some(line.to_vec());
            }
        }
        if !look.units.is_empty() {
            let groups = self.read(pid, "cgroup")?;
            if units(groups).any(|part| look.units.contains(part)) {
                control_groups = Some(groups.to_vec());
            }
        }
        if !wanted && command.is_none() && control_groups.is_none() {
            return Ok(None);
        }
        let stat = Stat::from_read(self.read(pid, "stat")?).map_err(io::Error::other)?;
        Ok(lives(&stat).then_some(Proc {
            stat,
            command,
            control_groups,
        }))
    }

    /// What a file of a process begins with, up to 4 KiB.
    fn read(&mut self, pid: &str, file: &str) -> io::Result<&[u8]> {
        self.path.clear();
        let _ = write!(self.path, "{pid}/{file}");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.proc, &self.path, flags, Mode::empty())?;
        // The kernel hands out each of these files whole.
        let length = rustix::io::read(&file, &mut self.buffer[..])?;
        Ok(&self.buffer[..length])
    }
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

    fn look(names: &[&str], commands: &[&str]) -> Look {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let grant = ProcessGrant {
            names: texts(names),
            commands: texts(commands),
            ..ProcessGrant::default()
        };
        Look::of([&grant].into_iter())
    }

    #[test]
    fn a_process_is_found_by_what_is_looked_for_and_by_nothing_else() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let name = Stat::from_file("/proc/self/stat").unwrap().comm;
        let executable = std::env::args().next().unwrap();
        let base = executable.rsplit('/').next().unwrap();
        let found = |look: &Look| {
            let processes = scan(look, &mut Comms::new(10)).unwrap();
            processes.into_iter().find(|p| p.stat.pid == pid)
        };
        assert!(found(&look(&[&name], &[])).unwrap().has_name(&name));
        let by_command = found(&look(&[], &[base])).unwrap();
        assert!(by_command.has_command(base));
        assert!(!by_command.has_command(&executable) || base == executable);
        assert!(found(&look(&["no such name"], &["no such command"])).is_none());
        assert!(
            scan(&Look::default(), &mut Comms::new(10))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_zombie_is_no_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let stat = || Stat::from_file(format!("/proc/{pid}/stat")).unwrap();
        while stat().state != 'Z' {
            std::thread::yield_now();
        }
        let processes = scan(&look(&[&stat().comm], &[]), &mut Comms::new(10)).unwrap();
        assert!(processes.iter().all(|p| p.stat.pid != pid));
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_pid_file_leads_to_a_process_as_it_is_now() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        assert!(of_pid_file(&file).await.unwrap().is_none());
        std::fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        let found = of_pid_file(&file).await.unwrap().unwrap();
        assert_eq!(found.stat.pid.unsigned_abs(), std::process::id());
        std::fs::write(&file, "4194305\n").unwrap();
        assert!(of_pid_file(&file).await.unwrap().is_none());
        std::fs::write(&file, "no number").unwrap();
        assert!(of_pid_file(&file).await.is_err());
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
        let mut process = Proc {
            stat: Stat::from_file("/proc/self/stat").unwrap(),
            command: None,
            control_groups: None,
        };
        process.stat.comm = "a-name-of-fifte".into();
        assert!(process.has_name("a-name-of-fifteen-bytes"));
        assert!(process.has_name("a-name-of-fifte"));
        assert!(!process.has_name("a-name-of-fift"));
    }
}
