//! Whether the directories that a plugin is granted can be given to it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use mainstay_protocol::LoadFault;

use crate::fault;

/// What is wrong with them. Looks as the plugin will: as the worker's user, within its confinement.
pub(super) fn faults(plugin: &str, directories: &[PathBuf]) -> Vec<LoadFault> {
    let wrong = directories.iter().filter_map(|directory| {
        let (why, help) = look(directory).err()?;
        let message = format!(
            "cannot be given the files in {}: {why}",
            directory.display()
        );
        Some(fault::of_plugin(plugin, message, Some(help.to_owned())))
    });
    wrong.collect()
}

fn look(directory: &Path) -> Result<(), (String, &'static str)> {
    let failed = |error: std::io::Error| {
        let help = match error.kind() {
            ErrorKind::PermissionDenied => {
                "the user of the plugin worker has to be able to read and enter it"
            }
            _ => "make the directory first; it has to be there when the plugin is loaded",
        };
        (error.to_string(), help)
    };
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !directory.is_absolute() || !directory.components().all(plain) {
        return Err((
            "it is no plain absolute path".to_owned(),
            "write the path without `..`",
        ));
    }
    let real = fs::canonicalize(directory).map_err(failed)?;
    if real != directory {
        let why = format!("it is {}", real.display());
        return Err((why, "write the path without symbolic links"));
    }
    fs::read_dir(directory).map(|_| ()).map_err(failed)
}
