//! What is looked up outside the configuration: directories of plugins, the name of this host.

use std::path::{Path, PathBuf};

/// Where plugins are looked up after `[plugins] directory`: the directory that the command line
/// names, beside the executable as `make build` leaves it, as `make install` leaves it, and where
/// packages put it.
pub(super) fn plugin_directories(named: Option<PathBuf>) -> Vec<PathBuf> {
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

/// The name of this host, which names the node when the configuration does not.
pub(super) fn host_name() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
