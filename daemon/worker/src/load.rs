//! Loading: from code to plugins, checks and hooks, with everything that is wrong.

mod component;
mod files;
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use mainstay_protocol::{CheckSpec, HookSpec, Load, LoadFault, PluginInfo, Subject};
use serde::Serialize;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::code::Code;
use crate::fault;
use crate::host::Shared;
use crate::meter::Meter;
use crate::plugin::Plugin;
use crate::pool;

/// Time for one call of `describe` or `validate`, instantiation included. They are pure and take
/// microseconds; the rest is for a machine that is busy starting up.
const BUDGET: Duration = Duration::from_secs(1);
/// Wishes kept of a description, and problems kept of one validation.
const KEPT: usize = 64;
/// Names of imports kept. The whole of WASI and of the contract is about 40.
const IMPORTS: usize = 256;
/// Longest name, version, summary and message of a plugin, in bytes.
const TEXT: usize = 256;
/// Bytes of all schemas in one answer; a frame holds twice that.
const SCHEMAS: usize = 512 << 10;
/// Bytes of all wishes, and of all names of imports, in one answer.
const WISHES: usize = 128 << 10;
const IMPORTED: usize = 128 << 10;

/// Code by [`PluginSpec::code`](mainstay_protocol::PluginSpec::code): the same component with other
/// grants is the same code.
pub(crate) type Codes = BTreeMap<String, Code>;

/// What loading came to.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The plugins, as far as something is known of them.
    pub(crate) plugins: Vec<PluginInfo>,
    /// Everything that is wrong.
    pub(crate) faults: Vec<LoadFault>,
    /// The checks, in the order of the configuration.
    pub(crate) checks: Vec<Use<CheckSpec>>,
    /// The hooks, in the order of the configuration.
    pub(crate) hooks: Vec<Use<HookSpec>>,
}

/// One use of a plugin.
pub(crate) struct Use<S> {
    /// As configured.
    pub(crate) spec: S,
    /// The plugin.
    pub(crate) plugin: Arc<Plugin>,
    /// The settings as JSON text.
    pub(crate) settings: Arc<str>,
    /// What its runs come to.
    pub(crate) meter: Meter,
}

/// Loads all of it. Never stops at the first fault.
///
/// Each plugin is [noted](crate::in_flight) before anything is done with it, so that the daemon knows
/// the suspect if the worker does not survive it.
pub(crate) async fn load(
    engine: &Engine,
    shared: &Arc<Shared>,
    codes: &Codes,
    request: Load,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut linker = Linker::new(engine);
    if let Err(error) = crate::host::link(&mut linker) {
        let message = format!("the worker cannot link its own interfaces: {error}");
        outcome.faults.push(fault::of_plugin("", message, None));
        return outcome;
    }
    let mut room = pool::ROOM;
    let mut loaded = BTreeMap::new();
    let mut broken = BTreeSet::new();
    let numbers: HashMap<String, usize> = (request.plugins.iter().enumerate())
        .map(|(number, spec)| (spec.name.clone(), number))
        .collect();
    for (number, spec) in request.plugins.into_iter().enumerate() {
        let name = spec.name.clone();
        let _run = shared.in_flight.begin(number);
        let unstable = &request.unstable;
        match component::load(
            engine,
            &linker,
            shared,
            codes,
            unstable,
            &mut room,
            (number, spec),
        )
        .await
        {
            Ok((info, plugin)) => {
                outcome.plugins.push(info);
                loaded.insert(name, plugin);
            }
            Err((info, faults)) => {
                outcome.plugins.extend(info);
                outcome.faults.extend(faults);
                broken.insert(name);
            }
        }
    }
    for spec in request.checks {
        let subject = Subject::Check(spec.name.clone());
        let used = (spec.plugin.as_str(), "check", &spec.settings);
        let number = numbers.get(&spec.plugin);
        let _run = number.map(|number| shared.in_flight.begin(*number));
        match usage::check(&loaded, &broken, shared, subject, used).await {
            Ok((plugin, settings)) => outcome.checks.push(Use {
                spec,
                plugin,
                settings,
                meter: Meter::default(),
            }),
            Err(faults) => outcome.faults.extend(faults),
        }
    }
    for spec in request.hooks {
        let subject = Subject::Hook(spec.name.clone());
        let used = (spec.plugin.as_str(), "hook", &spec.settings);
        let number = numbers.get(&spec.plugin);
        let _run = number.map(|number| shared.in_flight.begin(*number));
        match usage::check(&loaded, &broken, shared, subject, used).await {
            Ok((plugin, settings)) => outcome.hooks.push(Use {
                spec,
                plugin,
                settings,
                meter: Meter::default(),
            }),
            Err(faults) => outcome.faults.extend(faults),
        }
    }
    outcome.faults = fault::bounded(outcome.faults);
    bound_schemas(&mut outcome.plugins);
    bound_wishes(&mut outcome.plugins);
    bound_imports(&mut outcome.plugins);
    outcome
}

/// Leaves out the schemas that would not fit into the answer.
fn bound_schemas(plugins: &mut [PluginInfo]) {
    let mut room = SCHEMAS;
    for plugin in plugins {
        let size = plugin
            .settings_schema
            .as_ref()
            .map_or(0, |schema| schema.to_string().len());
        match room.checked_sub(size) {
            Some(rest) => room = rest,
            None => plugin.settings_schema = None,
        }
    }
}

/// Leaves out the wishes that would not fit into the answer.
fn bound_wishes(plugins: &mut [PluginInfo]) {
    let mut room = WISHES;
    for plugin in plugins {
        retain_what_fits(&mut plugin.wishes, &mut room);
    }
}

/// Leaves out the names of imports that would not fit into the answer.
fn bound_imports(plugins: &mut [PluginInfo]) {
    let mut room = IMPORTED;
    for plugin in plugins {
        retain_what_fits(&mut plugin.imports, &mut room);
    }
}

/// Leaves out what is too large, as JSON, for the room that is left.
fn retain_what_fits<T: Serialize>(items: &mut Vec<T>, room: &mut usize) {
    items.retain(|item| {
        let size = serde_json::to_string(item).map_or(usize::MAX, |text| text.len());
        let rest = room.checked_sub(size);
        *room = rest.unwrap_or(*room);
        rest.is_some()
    });
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::{FromWorker, Wish, frame};

    use super::*;

    fn frame_of(plugins: Vec<PluginInfo>) -> Vec<u8> {
        let answer = FromWorker::Loaded {
            generation: 1,
            plugins,
            faults: Vec::new(),
        };
        frame::encode(&answer).unwrap()
    }

    #[test]
    fn as_many_imports_are_told_as_fit_into_a_frame() {
        let plugin = PluginInfo {
            name: "p".to_owned(),
            api: None,
            roles: Vec::new(),
            imports: vec!["\\".repeat(TEXT); IMPORTS],
            described: None,
            settings_schema: None,
            wishes: Vec::new(),
        };
        let mut plugins = vec![plugin; 64];
        bound_imports(&mut plugins);
        assert!(!plugins[0].imports.is_empty());
        assert!(frame_of(plugins).len() < 2 * IMPORTED);
    }

    #[test]
    fn as_many_wishes_are_told_as_fit_into_a_frame() {
        let wish = Wish {
            capability: "probe".to_owned(),
            scope: "\"".repeat(256),
            optional: false,
            granted: false,
            line: Some("\\".repeat(4096)),
        };
        let plugin = PluginInfo {
            name: "p".to_owned(),
            api: None,
            roles: Vec::new(),
            imports: Vec::new(),
            described: None,
            settings_schema: None,
            wishes: vec![wish; KEPT],
        };
        let mut plugins = vec![plugin; 64];
        bound_wishes(&mut plugins);
        assert!(!plugins[0].wishes.is_empty());
        assert!(frame_of(plugins).len() < 2 * WISHES);
    }
}
