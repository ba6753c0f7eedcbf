//! Who else has to read what the configuration names: as units, the daemon and the worker are users
//! of their own, and `validate` is mostly called by root, who can read everything.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid, getgrouplist};

use super::problem::{Place, Problem, Severity};

/// The users of the units; the default knows none, and warns of nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    /// Who runs the daemon: reads everything.
    pub(super) daemon: Option<Account>,
    /// Who runs the worker: reads the plugins.
    pub(super) worker: Option<Account>,
}

/// A user, as far as it decides about access.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) user: u32,
    pub(super) groups: Vec<u32>,
}

impl Readers {
    /// The users of the units, when root asks and this system has them.
    pub(crate) fn of_units() -> Self {
        if !geteuid().is_root() {
            return Self::default();
        }
        Self {
            daemon: Account::find("mainstay"),
            worker: Account::find("mainstay-worker"),
        }
    }

    /// What keeps the daemon from reading a file, with advice.
    pub(super) fn obstacle(&self, file: &Path) -> Option<(String, String)> {
        self.daemon.as_ref()?.obstacle(file)
    }

    /// A warning for a file of the configuration that the daemon cannot read.
    pub(super) fn warn_of_file(&self, file: &Path) -> Option<Problem> {
        let place = Place {
            file: file.to_owned(),
            position: None,
        };
        Some(warning(String::new(), place, self.obstacle(file)?))
    }

    /// A warning for a plugin, named at this key and place, that somebody who needs it cannot read.
    pub(super) fn warn_of_plugin(
        &self,
        file: &Path,
        (key, place): &(String, Place),
    ) -> Option<Problem> {
        let obstacle = [&self.daemon, &self.worker]
            .into_iter()
            .flatten()
            .find_map(|account| account.obstacle(file))?;
        Some(warning(key.clone(), place.clone(), obstacle))
    }
}

impl Account {
    fn find(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok()??;
        let groups = getgrouplist(&CString::new(name).ok()?, user.gid).ok()?;
        Some(Self {
            name: name.to_owned(),
            user: user.uid.as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        })
    }

    /// By owner, group and mode alone. What cannot be looked at is left to those who report that.
    fn obstacle(&self, file: &Path) -> Option<(String, String)> {
        let file = std::fs::canonicalize(file).ok()?;
        let closed = |path: &&Path, bit| !self.may(path, bit);
        let (path, chmod): (PathBuf, _) =
            match file.ancestors().skip(1).find(|path| closed(path, 0o1)) {
                Some(directory) => (directory.to_owned(), "x"),
                None if closed(&file.as_path(), 0o4) => (file.clone(), "r"),
                None => return None,
            };
        let Self { name, .. } = self;
        let path = path.display();
        Some((
            format!("the user {name} cannot read {}", file.display()),
            format!("for example chgrp {name} {path} && chmod g+{chmod} {path}"),
        ))
    }

    fn may(&self, path: &Path, bit: u32) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else {
            return true;
        };
        let shift = if metadata.uid() == self.user {
            6
        } else if self.groups.contains(&metadata.gid()) {
            3
        } else {
            0
        };
        self.user == 0 || metadata.mode() >> shift & bit != 0
    }
}

fn warning(key: String, place: Place, (message, help): (String, String)) -> Problem {
    Problem {
        severity: Severity::Warning,
        place,
        key,
        message,
        help: Some(help),
    }
}
