//! `mainstay plugin`: a component seen from outside, and one run of it.

mod grant;
mod inspect;
mod run;
mod settings;

use std::path::{Path, PathBuf};

use mainstay_protocol::{Load, PluginSpec};

use super::{Failure, print, print_json, text};
use crate::config::search;
use crate::exit;
use crate::worker::LoadError;
pub(crate) use inspect::inspect;
pub(crate) use run::{RunArguments, run};

/// The component that the command line names.
pub(crate) fn component(named: &Path, plugin_dir: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let directories = search::plugin_directories(plugin_dir);
    search::component(named, &directories).map_err(|places| {
        let places: Vec<String> = places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        Failure::new(
            exit::DATA,
            format!(
                "there is no plugin at {}: give its path, or name its directory with --plugin-dir",
                places.join(" or ")
            ),
        )
    })
}

/// A load of this one component, which is named like its file.
fn load_of(file: &Path) -> Load {
    let name = file.file_stem().map_or_else(
        || "plugin".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    Load {
        generation: 0,
        max_concurrent_runs: 1,
        plugins: vec![spec(name, file.to_owned())],
        checks: Vec::new(),
        hooks: Vec::new(),
    }
}

fn spec(name: String, file: PathBuf) -> PluginSpec {
    PluginSpec {
        name,
        file,
        sha256: None,
        grants: mainstay_protocol::Grants::default(),
        limits: mainstay_protocol::Limits::default(),
    }
}

/// What kept the component from being loaded.
fn refused(error: LoadError, file: &Path) -> Failure {
    match error {
        LoadError::Faults(faults) => {
            let lines = faults.iter().map(|fault| {
                let at = fault
                    .pointer
                    .as_deref()
                    .filter(|pointer| !pointer.is_empty());
                let at = at.map_or_else(String::new, |pointer| format!(" settings{pointer}:"));
                let help = fault.help.as_deref();
                let help = help.map_or_else(String::new, |help| format!("; {help}"));
                format!("{}:{at} {}{help}", file.display(), fault.message)
            });
            Failure {
                code: exit::DATA,
                lines: lines.map(|line| text::plain(&line)).collect(),
            }
        }
        LoadError::Start(error) => Failure::new(
            exit::UNAVAILABLE,
            format!("the plugin worker failed: {error}"),
        ),
    }
}
