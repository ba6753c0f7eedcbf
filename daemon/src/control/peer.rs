//! Who may use the control socket: root, the daemon's own user, and the members of the daemon's
//! group; but no process of the plugin worker, whoever it runs as.
//!
//! The socket's mode says the same but for the last point. It can be changed by accident, and a
//! worker started as a child has the daemon's own user, so that the credentials that the kernel
//! vouches for (`SO_PEERCRED`) are looked at once more. Supplementary groups, parents and process
//! groups are read from `/proc`; what is no longer there is refused.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::unix::UCred;

/// Parents that are followed, at most.
const DEPTH: usize = 64;

/// The rule by which a peer is let in.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    user: u32,
    group: u32,
    workers: Workers,
}

/// As whom a peer is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Root, or the daemon's own user, as which systemd asks for a reload.
    Own,
    /// A member of the daemon's group.
    Member,
}

/// Process ids of the workers that run as children of this daemon.
pub(crate) type Workers = Arc<Mutex<BTreeSet<u32>>>;

impl Admission {
    /// The rule for this process, whose workers are these.
    pub(crate) fn new(workers: Workers) -> Self {
        Self {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            workers,
        }
    }

    /// Whether this peer may ask, and as whom.
    ///
    /// # Errors
    /// Why not, in words for the peer.
    pub(super) fn check(&self, peer: &UCred) -> Result<Standing, String> {
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
        self.admit(pid, peer.uid(), peer.gid())
    }

    fn admit(&self, pid: Option<u32>, user: u32, group: u32) -> Result<Standing, String> {
        if pid.is_some_and(|pid| self.is_of_worker(pid)) {
            return Err("the plugin worker may not use the control socket".to_owned());
        }
        if user == 0 || user == self.user {
            return Ok(Standing::Own);
        }
        if group == self.group || pid.is_some_and(|pid| groups(pid).contains(&self.group)) {
            return Ok(Standing::Member);
        }
        Err(format!(
            "user {user} is neither root nor in the daemon's group ({})",
            self.group
        ))
    }

    /// Whether a worker is this process, its process group's leader or one of its ancestors.
    fn is_of_worker(&self, pid: u32) -> bool {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.is_empty() {
            return false;
        }
        let mut current = pid;
        for _ in 0..DEPTH {
            if workers.contains(&current) {
                return true;
            }
            let Some((parent, leader)) = parent_and_leader(current) else {
                // Gone while we looked: it can't be told whose it was.
                return current == pid;
            };
            if workers.contains(&leader) {
                return true;
            }
            if parent <= 1 {
                return false;
            }
            current = parent;
        }
        true
    }
}

/// The supplementary groups of a process.
fn groups(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
    let numbers = groups.unwrap_or_default().split_whitespace();
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Parent and process group, from `/proc/PID/stat`: the second and third field behind the name,
/// which stands in parentheses and may contain anything.
fn parent_and_leader(pid: u32) -> Option<(u32, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Stdio};

    use super::*;

    fn admission(workers: &[u32]) -> Admission {
        Admission::new(Arc::new(Mutex::new(workers.iter().copied().collect())))
    }

    #[test]
    fn a_worker_and_its_children_are_told_from_others() {
        let parent = std::os::unix::process::parent_id();
        assert!(admission(&[process::id()]).is_of_worker(process::id()));
        assert!(admission(&[parent]).is_of_worker(process::id()));
        assert!(!admission(&[]).is_of_worker(process::id()));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(!admission(&[child.id()]).is_of_worker(process::id()));
        assert!(admission(&[process::id()]).is_of_worker(child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(
            admission(&[process::id()]).is_of_worker(child.id()),
            "a process that is gone can't be told from a worker's"
        );
    }

    #[test]
    fn strangers_are_refused() {
        let admission = Admission {
            user: 4_000_001,
            group: 4_000_002,
            workers: Workers::default(),
        };
        let pid = Some(process::id());
        assert_eq!(admission.admit(pid, 0, 0), Ok(Standing::Own));
        assert_eq!(admission.admit(pid, 4_000_001, 7), Ok(Standing::Own));
        assert_eq!(admission.admit(pid, 7, 4_000_002), Ok(Standing::Member));
        for pid in [pid, None] {
            let why = admission.admit(pid, 7, 7).unwrap_err();
            assert!(why.contains("user 7 is neither root nor"), "{why}");
        }
    }

    #[test]
    fn the_groups_of_a_process_are_read() {
        let mut expected: Vec<u32> = Command::new("id")
            .arg("-G")
            .output()
            .map(|output| String::from_utf8(output.stdout).unwrap())
            .unwrap()
            .split_whitespace()
            .map(|group| group.parse().unwrap())
            .collect();
        let own = rustix::process::getegid().as_raw();
        let mut read = groups(process::id());
        read.push(own);
        for list in [&mut expected, &mut read] {
            list.sort_unstable();
            list.dedup();
        }
        assert_eq!(read, expected);
    }
}
