//! Landlock: which files the process can still open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest version of Landlock that is asked for; older kernels enforce what they know.
const NEWEST: ABI = ABI::V6;

/// Leaves `/proc`, these directories and those of the pid files readable and everything else closed.
///
/// Also, where the kernel knows how: no TCP port may be bound, no abstract Unix socket connected,
/// and no process outside signalled. Returns in words what is not enforced.
pub(super) fn restrict(pid_files: &[PathBuf], directories: &[PathBuf]) -> Option<String> {
    let proc = Path::new("/proc");
    let readable = directories.iter().map(PathBuf::as_path).chain([proc]);
    words(apply(readable, pid_files))
}

/// As [`restrict`], but not even `/proc` stays readable.
pub(super) fn close() -> Option<String> {
    words(apply([].into_iter(), &[]))
}

fn words(result: Result<RulesetStatus, RulesetError>) -> Option<String> {
    match result {
        Ok(RulesetStatus::NotEnforced) => Some("this kernel has no Landlock".to_owned()),
        Ok(_) => None,
        Err(error) => Some(format!("Landlock: {error}")),
    }
}

fn apply<'a>(
    readable: impl Iterator<Item = &'a Path>,
    pid_files: &[PathBuf],
) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    // What is not there stays closed, whatever comes in its place.
    for directory in readable {
        if let Ok(directory) = PathFd::new(directory) {
            ruleset = ruleset.add_rule(PathBeneath::new(directory, reading))?;
        }
    }
    let directories: BTreeSet<&Path> = pid_files
        .iter()
        .filter_map(|f| existing_parent(f))
        .collect();
    for directory in directories {
        if let Ok(directory) = PathFd::new(directory) {
            ruleset = ruleset.add_rule(PathBeneath::new(directory, AccessFs::ReadFile))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// The nearest directory above a pid file that exists, but never the root: a rule follows what is
/// there now, not a name, and the file comes and goes with its service.
fn existing_parent(file: &Path) -> Option<&Path> {
    file.ancestors()
        .skip(1)
        .find(|directory| directory.is_dir())
        .filter(|directory| directory.parent().is_some())
}
