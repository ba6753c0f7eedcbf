//! What is looked up outside the configuration: directories of plugins, the name of this host.

use std::io;
use std::path::{Path, PathBuf};

/// Where plugins are looked up after `[plugins] directory`: the directory that the command line
/// names, beside the executable as `make build` leaves it, as `make install` leaves it, and where
/// packages put it.
pub(crate) fn plugin_directories(named: Option<PathBuf>) -> Vec<PathBuf> {
    let executable = std::env::current_exe().ok();
    let beside = executable.as_deref().and_then(Path::parent);
    let relative = |path: &str| {
        beside
            .and_then(Path::parent)
            .map(|prefix| prefix.join(path))
    };
    let mut directories: Vec<PathBuf> = Vec::new();
    let candidates = [
        named,
        relative("plugins"),
        relative("lib/mainstay/plugins"),
        Some(PathBuf::from("/usr/lib/mainstay/plugins")),
    ];
    for directory in candidates.into_iter().flatten() {
        // The worker gets absolute paths: it may run elsewhere.
        let directory = std::path::absolute(&directory).unwrap_or(directory);
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories
}

/// The component that somebody names on the command line: by a path or, when it is a mere name, by
/// that of a file in one of these directories, with or without `.wasm`.
///
/// # Errors
/// The places where it is not.
pub(crate) fn component(named: &Path, directories: &[PathBuf]) -> Result<PathBuf, Vec<PathBuf>> {
    let path = std::path::absolute(named).unwrap_or_else(|_| named.to_owned());
    let mut places = vec![path.clone()];
    if named.parent() == Some(Path::new("")) && !path.is_file() {
        let file = [named.to_owned(), named.with_added_extension("wasm")];
        let candidates = directories
            .iter()
            .flat_map(|directory| file.iter().map(|file| directory.join(file)));
        if let Some(found) = candidates.clone().find(|candidate| candidate.is_file()) {
            return Ok(found);
        }
        places.extend(directories.iter().map(|directory| directory.join(named)));
    }
    // Whatever else is there, the worker says why it is no component.
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(places),
        Ok(_) | Err(_) => Ok(path),
    }
}

/// The name of this host, which names the node when the configuration does not.
pub(super) fn host_name() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mere_name_is_looked_up_in_the_directories_and_a_path_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own-check.wasm");
        std::fs::write(&file, "").unwrap();
        let directories = [PathBuf::from("/none"), directory.path().to_owned()];
        for name in ["own-check", "own-check.wasm"] {
            let found = component(Path::new(name), &directories);
            assert_eq!(found.as_ref(), Ok(&file), "{name}");
        }
        assert_eq!(component(&file, &[]), Ok(file.clone()));

        let places = component(Path::new("other"), &directories).unwrap_err();
        let own = std::path::absolute("other").unwrap();
        let beside = directory.path().join("other");
        assert_eq!(places, [own, PathBuf::from("/none/other"), beside]);
        let places = component(Path::new("./own-check.wasm"), &directories).unwrap_err();
        assert_eq!(places.len(), 1, "{places:?}");
    }
}
