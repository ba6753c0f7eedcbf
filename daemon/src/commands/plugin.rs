//! `mainstay plugin`: components seen from outside, one run of one, and those that are served.

mod compile;
mod grant;
mod inspect;
mod list;
mod run;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay_protocol::{Load, PluginSpec};

use super::{Failure, print, print_json, text};
use crate::code::{self, ComponentFile, Plan};
use crate::config::search;
use crate::exit;
use crate::worker::LoadError;
pub(crate) use compile::compile;
pub(crate) use grant::Grant;
pub(crate) use inspect::inspect;
pub(crate) use list::list;
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

/// A plan for this one component, which is named like its file.
fn plan_of(file: &Path) -> Result<Plan, Failure> {
    let failed = |error: String| Failure::new(exit::DATA, error);
    let digest = code::digest(file).map_err(|error| failed(error.to_string()))?;
    let name = file.file_stem().map_or_else(
        || "plugin".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    );
    let spec = PluginSpec {
        name,
        code: digest.clone(),
        grants: mainstay_protocol::Grants::default(),
        limits: mainstay_protocol::Limits::default(),
        secrets: Vec::new(),
    };
    let file = ComponentFile {
        path: file.to_owned(),
        pinned: false,
    };
    Ok(Plan {
        load: Arc::new(Load {
            generation: 0,
            max_concurrent_runs: 1,
            // Who tries a plugin decides by what he grants.
            unstable: vec!["service-manager".to_owned()],
            plugins: vec![spec],
            checks: Vec::new(),
            hooks: Vec::new(),
        }),
        components: BTreeMap::from([(digest, file)]),
    })
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
