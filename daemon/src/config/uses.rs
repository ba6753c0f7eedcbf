//! Which component serves which check or hook, with which grants.
//!
//! A use that needs other grants or limits than an earlier one gets an entry of its own, named
//! `PLUGIN@USER`: two checks of the stock plugin `process` see only the processes that each of them
//! names.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_protocol::{Limits, PluginSpec, nearest};
use serde_json::Value as Json;

use super::plugin::{Declared, PluginsTable};
use super::problem::Place;
use super::stock::Stock;
use super::table::Spot;
use super::value::Value;
use crate::code::{self, ComponentFile};

/// The plugins of a configuration, and what has been asked of them so far.
pub(super) struct Plugins<'a> {
    table: PluginsTable,
    directories: Vec<PathBuf>,
    declared: BTreeMap<String, Declared<'a>>,
    stock: Stock,
    /// Path and digest by plugin; `None` after a problem that has been reported.
    components: BTreeMap<String, Option<Component>>,
    specs: Vec<PluginSpec>,
    places: BTreeMap<String, (String, Place)>,
}

/// What the plugins of a configuration come to.
pub(super) struct Loadable {
    /// What each may do.
    pub(super) specs: Vec<PluginSpec>,
    /// Where each stands, by name.
    pub(super) places: BTreeMap<String, (String, Place)>,
    /// The files, by digest.
    pub(super) components: BTreeMap<String, ComponentFile>,
}

/// A component that is there.
#[derive(Clone, Debug)]
struct Component {
    file: ComponentFile,
    /// What the file's content is now, or has to be.
    digest: String,
}

/// What a check or hook has to know of its plugin.
#[derive(Debug)]
pub(super) struct Use {
    /// Name of the entry that serves it.
    pub(super) plugin: String,
    /// Digest of its component.
    pub(super) digest: String,
    /// The longest run that the operator allows.
    pub(super) timeout: Option<Duration>,
}

impl<'a> Plugins<'a> {
    /// The plugins to choose from.
    pub(super) fn new(
        table: PluginsTable,
        directories: Vec<PathBuf>,
        declared: Vec<Declared<'a>>,
        stock: Stock,
    ) -> Self {
        let declared = declared
            .into_iter()
            .map(|plugin| (plugin.name.clone(), plugin))
            .collect();
        Self {
            table,
            directories,
            declared,
            stock,
            components: BTreeMap::new(),
            specs: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Runs at the same time, at most.
    pub(super) fn max_concurrent_runs(&self) -> u32 {
        self.table.max_concurrent_runs
    }

    /// Features that are not stable, and may be used.
    pub(super) fn unstable(&self) -> Vec<String> {
        self.table.unstable.clone()
    }

    /// The plugin that `value` names, for the check or hook `user` with these settings. Reports a
    /// plugin that is unknown or cannot be used.
    pub(super) fn serve(&mut self, value: &Value<'a>, user: &str, settings: &Json) -> Option<Use> {
        let name = value.name()?;
        let component = self.component(name, &value.spot)?;
        let declared = self.declared.get(name);
        let grants = match declared.and_then(|plugin| plugin.grants.clone()) {
            Some(grants) => grants,
            None => self
                .stock_of(name)
                .map(|stock| stock.grants(settings))
                .unwrap_or_default(),
        };
        let secrets = declared.map(|plugin| plugin.secrets.clone());
        let limits = declared.map_or_else(Limits::default, |plugin| plugin.limits.clone());
        let timeout = declared.and_then(|plugin| plugin.timeout);
        let spot = declared.map_or(&value.spot, |plugin| &plugin.spot).clone();
        let spec = PluginSpec {
            name: name.to_owned(),
            code: component.digest.clone(),
            grants,
            limits,
            secrets: secrets.unwrap_or_default(),
        };
        Some(Use {
            plugin: self.entry(spec, user, &spot),
            digest: component.digest,
            timeout,
        })
    }

    /// Everything to load: what is used, and what is declared without a use.
    pub(super) fn finish(mut self) -> Loadable {
        let unused: Vec<String> = self
            .declared
            .keys()
            .filter(|name| !self.components.contains_key(*name))
            .cloned()
            .collect();
        for name in unused {
            let spot = self.declared[&name].spot.clone();
            let Some(component) = self.component(&name, &spot) else {
                continue;
            };
            let plugin = &self.declared[&name];
            let spec = PluginSpec {
                name: name.clone(),
                code: component.digest,
                grants: plugin.grants.clone().unwrap_or_default(),
                limits: plugin.limits.clone(),
                secrets: plugin.secrets.clone(),
            };
            self.entry(spec, "", &spot);
        }
        let components = self.components.into_values().flatten();
        Loadable {
            specs: self.specs,
            places: self.places,
            components: components
                .map(|component| (component.digest, component.file))
                .collect(),
        }
    }

    /// The name of the entry with these grants and limits, which may have to be made.
    fn entry(&mut self, mut spec: PluginSpec, user: &str, spot: &Spot<'_>) -> String {
        let mut first = true;
        for other in &self.specs {
            if super::plugin_name(&other.name) == spec.name {
                first = false;
                if other.grants == spec.grants && other.limits == spec.limits {
                    return other.name.clone();
                }
            }
        }
        if !first {
            spec.name = format!("{}@{user}", spec.name);
        }
        let name = spec.name.clone();
        self.places
            .insert(name.clone(), (spot.key().to_owned(), spot.place()));
        self.specs.push(spec);
        name
    }

    /// The stock plugin of that name, unless a declared one of that name has another file.
    fn stock_of(&self, name: &str) -> Option<&super::stock::StockPlugin> {
        let other_file = self
            .declared
            .get(name)
            .is_some_and(|plugin| plugin.file.is_some());
        (!other_file).then(|| self.stock.find(name)).flatten()
    }

    fn component(&mut self, name: &str, spot: &Spot<'_>) -> Option<Component> {
        if let Some(known) = self.components.get(name) {
            return known.clone();
        }
        let component = self.find(name, spot);
        self.components.insert(name.to_owned(), component.clone());
        component
    }

    fn find(&self, name: &str, spot: &Spot<'_>) -> Option<Component> {
        let declared = self.declared.get(name);
        let stock = self.stock_of(name);
        let (file, sha256) = match (declared, stock) {
            (None, Some(stock)) => (stock.file.clone(), Some(stock.sha256.clone())),
            (Some(plugin), Some(stock)) => {
                let pinned = plugin.sha256.as_ref().unwrap_or(&stock.sha256);
                (stock.file.clone(), Some(pinned.clone()))
            }
            (Some(plugin), None) => (self.look_up(plugin)?, plugin.sha256.clone()),
            (None, None) => {
                self.report_unknown(name, spot);
                return None;
            }
        };
        let spot = declared.map_or(spot, |plugin| &plugin.spot);
        if sha256.is_none() && self.table.require_sha256 {
            spot.error(
                format!("the plugin \"{name}\" is not pinned, and require-sha256 is set"),
                Some("add sha256 = \"…\", as sha256sum prints it".to_owned()),
            );
        }
        let digest = usable(&file, sha256.is_some()).and_then(|()| match &sha256 {
            Some(sha256) => Ok(sha256.clone()),
            None => code::digest(&file).map_err(|error| error.to_string()),
        });
        match digest {
            Ok(digest) => Some(Component {
                file: ComponentFile {
                    path: file,
                    pinned: sha256.is_some(),
                },
                digest,
            }),
            Err(reason) => {
                spot.error(
                    format!(
                        "the plugin file {} cannot be used: {reason}",
                        file.display()
                    ),
                    None,
                );
                None
            }
        }
    }

    fn look_up(&self, plugin: &Declared<'_>) -> Option<PathBuf> {
        let named = match &plugin.file {
            Some(file) => PathBuf::from(file),
            None => PathBuf::from(format!("{}.wasm", plugin.name)),
        };
        // Joining an absolute path answers that path, so one loop serves both.
        let candidates = self
            .directories
            .iter()
            .map(|directory| directory.join(&named));
        let found = candidates.clone().find(|candidate| candidate.exists());
        if found.is_none() {
            let mut places: Vec<String> = candidates
                .map(|candidate| candidate.display().to_string())
                .collect();
            places.dedup();
            let otherwise = match named.is_absolute() {
                true => "",
                false => ", or name it by its absolute path in `file`",
            };
            plugin.spot.error(
                format!("the plugin file {} is missing", named.display()),
                Some(format!("put it at {}{otherwise}", places.join(" or "))),
            );
        }
        found
    }

    fn report_unknown(&self, name: &str, spot: &Spot<'_>) {
        let known = || {
            self.declared
                .keys()
                .map(String::as_str)
                .chain(self.stock.names())
        };
        let help = if let Some(near) = nearest(name, known()) {
            format!("did you mean \"{near}\"?")
        } else if let Some(refused) = self.stock.refused() {
            format!("stock plugins: {refused}")
        } else if self.stock.names().next().is_none() {
            let places: Vec<String> = self
                .directories
                .iter()
                .map(|directory| directory.display().to_string())
                .collect();
            format!(
                "declare it with [[plugin]]; there are no stock plugins in {}",
                places.join(", ")
            )
        } else {
            let names: Vec<&str> = known().collect();
            format!(
                "declare it with [[plugin]], or use one that is known: {}",
                names.join(", ")
            )
        };
        spot.error(format!("there is no plugin \"{name}\""), Some(help));
    }
}

fn usable(file: &Path, pinned: bool) -> Result<(), String> {
    let metadata = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.mode() & 0o002 != 0 && !pinned {
        return Err(
            "any user can change it; take that right away with chmod o-w, or pin it with sha256"
                .to_owned(),
        );
    }
    Ok(())
}
