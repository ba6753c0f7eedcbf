//! The configuration file: TOML on one side, settings without anything left to check on the other.
//!
//! Reading goes on after a problem, so that one call reports all of them, each with file, line,
//! column and key. Where to look: `table` and `value` read TOML piece by piece, `router`, `check`,
//! `plugin` and `hook` know the keys, `uses` finds the component and the grants for each check and
//! hook, `stock` knows the plugins that come with Mainstay.

mod check;
mod digest;
pub(crate) mod duration;
pub(crate) mod endpoint;
mod grants;
mod hook;
mod include;
mod json;
mod keepalived;
mod metrics;
mod names;
mod password;
mod places;
mod plugin;
mod problem;
mod readers;
mod router;
pub(crate) mod search;
pub(crate) mod secrets;
mod source;
mod stock;
mod table;
#[cfg(test)]
mod tests;
mod uses;
mod value;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mainstay_core::settings::Settings;
use mainstay_protocol::{Load, LoadFault, PluginInfo, Subject, Wish};

pub(crate) use grants::may_be_given;
use names::Unique;
use places::Places;
use plugin::PluginsTable;
use problem::Problems;
pub(crate) use problem::{Problem, Severity};
pub(crate) use readers::Readers;
use router::{Identities, Surroundings};
use source::Source;
use stock::Stock;
use table::Table;
use uses::Plugins;

use crate::code::Plan;
use crate::hooks::Subscription;

/// What the configuration cannot say itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Where plugins are looked up after `[plugins] directory`: see [`plugin_directories`].
    pub(crate) plugin_directories: Vec<PathBuf>,
    /// Where systemd puts credentials (`$CREDENTIALS_DIRECTORY`).
    pub(crate) credentials: Option<PathBuf>,
    /// Whether a warning is an error.
    pub(crate) strict: bool,
    /// Who else has to read it all.
    pub(crate) readers: Readers,
}

impl Options {
    /// The options that this process was started with.
    pub(crate) fn of_process(plugin_directory: Option<PathBuf>) -> Self {
        Self {
            plugin_directories: search::plugin_directories(plugin_directory),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            strict: false,
            readers: Readers::default(),
        }
    }
}

/// A configuration, read and found right as far as that can be told without running a plugin.
#[derive(Debug)]
pub(crate) struct Config {
    /// What this node is called.
    pub(crate) node: String,
    /// For the engine; the generation is the caller's to set.
    pub(crate) settings: Settings,
    /// For the worker; the generation is the caller's to set.
    pub(crate) plan: Plan,
    /// Where metrics are served.
    pub(crate) metrics: Option<SocketAddr>,
    /// What the hooks are told of.
    pub(crate) subscriptions: Vec<Subscription>,
    /// What somebody should look at.
    pub(crate) warnings: Vec<Problem>,
    places: Places,
}

impl Config {
    /// Where in the file something stands that the worker found wrong.
    pub(crate) fn locate(&self, fault: &LoadFault) -> Problem {
        self.places.locate(fault)
    }
}

impl Config {
    /// A warning for each thing that a plugin cannot do without and is not granted.
    pub(crate) fn unmet(&self, plugins: &[PluginInfo]) -> Vec<Problem> {
        let wishes = plugins
            .iter()
            .flat_map(|plugin| plugin.wishes.iter().map(move |wish| (plugin, wish)));
        let lacking = wishes.filter(|(plugin, wish)| {
            !wish.granted && !wish.optional && !self.by_target(&plugin.name, wish)
        });
        lacking
            .map(|(plugin, wish)| {
                let fault = LoadFault {
                    plugin: plugin.name.clone(),
                    subject: Subject::Load,
                    pointer: None,
                    message: format!(
                        "it asks for {} {}, which is not granted",
                        wish.capability, wish.scope
                    ),
                    help: Some(grants::how(wish)),
                };
                Problem {
                    severity: Severity::Warning,
                    ..self.locate(&fault)
                }
            })
            .collect()
    }

    /// Whether a wish that names nothing can be for the targets of the plugin's checks alone, which
    /// need no grant.
    fn by_target(&self, plugin: &str, wish: &Wish) -> bool {
        let load = &self.plan.load;
        let mut checks = load.checks.iter().filter(|check| check.plugin == plugin);
        let hooks = load.hooks.iter().any(|hook| hook.plugin == plugin);
        let kind = ["probe", "http"].contains(&wish.capability.as_str());
        kind && wish.line.is_none() && !hooks && checks.all(|check| check.target.is_some())
    }
}

/// The plugin that an entry of [`Load`] is of: entries for other grants are named `PLUGIN@USER`.
pub(crate) fn plugin_name(entry: &str) -> &str {
    entry.split_once('@').map_or(entry, |(plugin, _)| plugin)
}

/// Reads a configuration.
///
/// # Errors
/// Everything that is wrong with it, in the order of files and lines.
pub(crate) fn load(path: &Path, options: &Options) -> Result<Config, Vec<Problem>> {
    match examine(path, options) {
        (Some(config), errors) if errors.is_empty() => Ok(config),
        (_, errors) => Err(errors),
    }
}

/// Reads a configuration, and answers with everything that is wrong and with what is right all the
/// same: good for nothing but to look for more that is wrong.
pub(crate) fn examine(path: &Path, options: &Options) -> (Option<Config>, Vec<Problem>) {
    let problems = Problems::default();
    let config = match Source::read(path) {
        Ok(source) => read(&source, options, &problems),
        Err(problem) => {
            problems.add(*problem);
            None
        }
    };
    let (errors, warnings) = problems.into_errors_and_warnings(options.strict);
    (config.map(|config| Config { warnings, ..config }), errors)
}

fn read(main: &Source, options: &Options, problems: &Problems) -> Option<Config> {
    let content = main.parse(problems)?;
    let mut root = main.root(&content, problems);
    let included = root.take("include").map(|value| include::read(&value));
    let included = included.unwrap_or_default();
    let contents: Option<Vec<_>> = included
        .iter()
        .map(|source| source.parse(problems))
        .collect::<Vec<_>>()
        .into_iter()
        .collect();
    let contents = contents?;
    for source in std::iter::once(main).chain(&included) {
        problems.extend(options.readers.warn_of_file(source.path()));
    }

    let node = root.take("node").and_then(|value| value.name());
    let table = root.take_table("plugins");
    let table = table.map_or_else(PluginsTable::default, PluginsTable::read);
    let metrics = root.take_table("metrics").and_then(metrics::read);
    let mut tables = Tables::default();
    tables.take(&mut root);
    root.finish();
    for (source, content) in included.iter().zip(&contents) {
        let mut root = source.root(content, problems);
        tables.take(&mut root);
        root.finish();
    }

    let mut directories: Vec<PathBuf> = table.directory.iter().cloned().collect();
    directories.extend(options.plugin_directories.iter().cloned());
    let stock = Stock::read(&directories, problems);
    let declared = plugin::read_all(tables.plugins, options);
    let mut plugins = Plugins::new(table, directories, declared, stock);

    // Names first: a router may track a check that has a fault of its own.
    let check_names: BTreeSet<String> = tables
        .checks
        .iter()
        .filter_map(|check| check.text_of("name"))
        .map(str::to_owned)
        .collect();
    let mut names = Unique::default();
    let checks: Vec<_> = tables
        .checks
        .into_iter()
        .filter_map(|table| check::read(table, &mut names, &mut plugins))
        .collect();
    let mut names = Unique::default();
    let hooks: Vec<_> = tables
        .hooks
        .into_iter()
        .filter_map(|table| hook::read(table, &mut names, &mut plugins))
        .collect();
    let surroundings = Surroundings {
        checks: &check_names,
        credentials: options.credentials.as_deref(),
        readers: &options.readers,
    };
    let mut identities = Identities::default();
    let routers = tables
        .routers
        .into_iter()
        .filter_map(|table| router::read(table, &mut identities, &surroundings))
        .collect();

    let max_concurrent_runs = plugins.max_concurrent_runs();
    let unstable = plugins.unstable();
    let plugins = plugins.finish();
    for spec in &plugins.specs {
        let warning = plugins.places.get(&spec.name).and_then(|place| {
            let component = plugins.components.get(&spec.code)?;
            options.readers.warn_of_plugin(&component.path, place)
        });
        problems.extend(warning);
    }
    let places = Places::new(plugins.places, &checks, &hooks);
    let (worker_checks, engine_checks) = checks
        .into_iter()
        .map(|check| (check.worker, check.engine))
        .unzip();
    Some(Config {
        node: node.map_or_else(search::host_name, str::to_owned),
        places,
        metrics,
        subscriptions: hooks.iter().map(|hook| hook.subscription.clone()).collect(),
        plan: Plan {
            load: Arc::new(Load {
                generation: 0,
                max_concurrent_runs,
                unstable,
                plugins: plugins.specs,
                checks: worker_checks,
                hooks: hooks.into_iter().map(|hook| hook.worker).collect(),
            }),
            components: plugins.components,
        },
        settings: Settings {
            generation: 0,
            routers,
            checks: engine_checks,
        },
        warnings: Vec::new(),
    })
}

/// The tables that every file may have.
#[derive(Default)]
struct Tables<'a> {
    plugins: Vec<Table<'a>>,
    checks: Vec<Table<'a>>,
    routers: Vec<Table<'a>>,
    hooks: Vec<Table<'a>>,
}

impl<'a> Tables<'a> {
    fn take(&mut self, root: &mut Table<'a>) {
        self.plugins.extend(root.take_tables("plugin"));
        self.checks.extend(root.take_tables("check"));
        self.routers.extend(root.take_tables("router"));
        self.hooks.extend(root.take_tables("hook"));
    }
}
