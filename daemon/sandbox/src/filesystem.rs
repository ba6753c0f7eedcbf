//! Landlock: which files the process can still open.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest version of Landlock that is asked for; older kernels enforce what they know.
const NEWEST: ABI = ABI::V6;

/// Leaves `/proc` and the directories of the pid files readable and everything else closed.
///
/// Also, where the kernel knows how: no TCP port may be bound, no abstract Unix socket connected,
/// and no process outside signalled. Returns in words what is not enforced.
pub(super) fn restrict(pid_files: &[PathBuf]) -> Option<String> {
    words(apply(Some(Path::new("/proc")), pid_files))
}

/// As [`restrict`], but not even `/proc` stays readable.
pub(super) fn close() -> Option<String> {
    words(apply(None, &[]))
}

fn words(result: Result<RulesetStatus, RulesetError>) -> Option<String> {
    match result {
        Ok(RulesetStatus::NotEnforced) => Some("this kernel has no Landlock".to_owned()),
        Ok(_) => None,
        Err(error) => Some(format!("Landlock: {error}")),
    }
}

fn apply(readable: Option<&Path>, pid_files: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    if let Some(directory) = readable
        && let Ok(directory) = PathFd::new(directory)
    {
        ruleset = ruleset.add_rule(PathBeneath::new(directory, reading))?;
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
