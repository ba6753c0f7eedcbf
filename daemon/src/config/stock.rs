//! The plugins that come with Mainstay: `stock.toml` beside them lists them with their digests, and
//! says which grants follow from the settings of a check.
//!
//! ```toml
//! [[plugin]]
//! name = "process"
//! file = "process.wasm"
//! sha256 = "…"
//! [plugin.grants]
//! process.names = ["{name}"]      # the setting `name`; absent when the setting is
//! ```

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mainstay_protocol::{Grants, HttpGrant, ProbeGrant, ProcessGrant};
use serde_json::Value as Json;

use super::digest;
use super::grants;
use super::problem::Problems;
use super::source::Source;
use super::table::Table;
use super::value::Value;

/// The file that makes a directory one of stock plugins.
const LIST: &str = "stock.toml";

/// The stock plugins of every directory.
#[derive(Debug, Default)]
pub(super) struct Stock {
    plugins: BTreeMap<String, StockPlugin>,
    /// Directories that were left out, and why.
    refused: Vec<(PathBuf, String)>,
}

/// A stock plugin.
#[derive(Clone, Debug)]
pub(super) struct StockPlugin {
    /// Its component.
    pub(super) file: PathBuf,
    /// The digest that the component has to have.
    pub(super) sha256: String,
    grants: Template,
}

impl Stock {
    /// Reads the lists of all these directories that have one. A plugin in two of them is that of
    /// the first.
    pub(super) fn read(directories: &[PathBuf], problems: &Problems) -> Self {
        let mut stock = Self::default();
        for directory in directories {
            let list = directory.join(LIST);
            if !list.exists() {
                continue;
            }
            if let Err(reason) = trusted(directory).and_then(|()| trusted(&list)) {
                stock.refused.push((directory.clone(), reason));
                continue;
            }
            match Source::read(&list) {
                Ok(source) => stock.read_list(&source, problems),
                Err(problem) => problems.add(*problem),
            }
        }
        stock
    }

    /// The plugin of that name.
    pub(super) fn find(&self, name: &str) -> Option<&StockPlugin> {
        self.plugins.get(name)
    }

    /// The names of all.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(String::as_str)
    }

    /// Why there may be fewer than expected, for people.
    pub(super) fn refused(&self) -> Option<String> {
        let reasons: Vec<String> = self
            .refused
            .iter()
            .map(|(directory, reason)| format!("{} is left out: {reason}", directory.display()))
            .collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn read_list(&mut self, source: &Source, problems: &Problems) {
        let Some(content) = source.parse(problems) else {
            return;
        };
        let mut root = source.root(&content, problems);
        for table in root.take_tables("plugin") {
            if let Some((name, plugin)) = stock_plugin(table) {
                self.plugins.entry(name).or_insert(plugin);
            }
        }
        root.finish();
    }
}

impl StockPlugin {
    /// What the plugin may do for a check or hook with these settings.
    pub(super) fn grants(&self, settings: &Json) -> Grants {
        self.grants.fill(settings)
    }
}

fn stock_plugin(mut table: Table<'_>) -> Option<(String, StockPlugin)> {
    let name = table.require("name", "\"process\"");
    let file = table.require("file", "\"process.wasm\"");
    let sha256 = table.require("sha256", "\"…\"");
    let grants = table.take_table("grants");
    table.finish();
    let grants = grants.map(Template::read).unwrap_or_default();
    Some((
        name?.name()?.to_owned(),
        StockPlugin {
            file: file?.path()?,
            sha256: digest::read(&sha256?)?,
            grants,
        },
    ))
}

/// Grants with settings in their place: `{key}` stands for the setting of that name.
#[derive(Clone, Debug, Default)]
struct Template {
    names: Vec<String>,
    commands: Vec<String>,
    pid_files: Vec<String>,
    units: Vec<String>,
    command_line: bool,
    addresses: Vec<String>,
    ports: Vec<String>,
    urls: Vec<String>,
    files: Vec<String>,
}

impl Template {
    fn read(mut table: Table<'_>) -> Self {
        let text = |entry: &Value<'_>| entry.text().map(str::to_owned);
        let mut template = Self::default();
        if let Some(mut process) = table.take_table("process") {
            template.names = process.take_list("names", text);
            template.commands = process.take_list("commands", text);
            template.pid_files = process.take_list("pid-files", text);
            template.units = process.take_list("units", text);
            template.command_line = process
                .take("command-line")
                .and_then(|value| value.flag())
                .unwrap_or(false);
            process.finish();
        }
        if let Some(mut probe) = table.take_table("probe") {
            template.addresses = probe.take_list("addresses", text);
            template.ports = probe.take_list("ports", text);
            probe.finish();
        }
        if let Some(mut http) = table.take_table("http") {
            template.urls = http.take_list("urls", text);
            http.finish();
        }
        template.files = table.take_list("files", text);
        table.finish();
        template
    }

    /// Settings that cannot be what a grant needs grant nothing; the plugin's schema reports them.
    fn fill(&self, settings: &Json) -> Grants {
        let fill = |entries: &[String]| -> Vec<String> {
            entries
                .iter()
                .flat_map(|entry| expand(entry, settings))
                .collect()
        };
        Grants {
            process: ProcessGrant {
                names: fill(&self.names),
                commands: fill(&self.commands),
                pid_files: fill(&self.pid_files)
                    .into_iter()
                    .map(PathBuf::from)
                    .filter(|path| path.is_absolute())
                    .collect(),
                units: fill(&self.units),
                command_line: self.command_line,
            },
            probe: ProbeGrant {
                addresses: fill(&self.addresses)
                    .iter()
                    .filter_map(|address| grants::network(address))
                    .collect(),
                ports: fill(&self.ports)
                    .iter()
                    .filter_map(|port| port.parse().ok())
                    .collect(),
                ..ProbeGrant::default()
            },
            http: HttpGrant {
                urls: fill(&self.urls)
                    .iter()
                    .filter_map(|url| url.parse().ok())
                    .collect(),
                ..HttpGrant::default()
            },
            files: fill(&self.files)
                .into_iter()
                .map(PathBuf::from)
                .filter(|path| grants::may_be_given(path))
                .collect(),
            ..Grants::default()
        }
    }
}

/// What an entry of a template stands for: nothing, one text, or each element of a list.
fn expand(entry: &str, settings: &Json) -> Vec<String> {
    let key = entry
        .strip_prefix('{')
        .and_then(|entry| entry.strip_suffix('}'));
    let Some(key) = key else {
        return vec![entry.to_owned()];
    };
    match settings.get(key) {
        Some(Json::Array(elements)) => elements.iter().filter_map(scalar).collect(),
        Some(value) => scalar(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether nobody can change this who could not change what runs here anyway: its owner is root,
/// this user, or the owner of this executable, and no other may write.
fn trusted(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    let executable_owner = std::env::current_exe()
        .and_then(std::fs::metadata)
        .map_or(0, |metadata| metadata.uid());
    let owners = [0, nix::unistd::geteuid().as_raw(), executable_owner];
    if !owners.contains(&metadata.uid()) {
        return Err(format!(
            "{} belongs to user {}; give it to root",
            path.display(),
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!(
            "others can change {}; take that right away with chmod go-w",
            path.display()
        ));
    }
    Ok(())
}
