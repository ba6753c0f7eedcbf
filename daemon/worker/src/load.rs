//! Loading: from bytes to plugins, checks and hooks, with everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_protocol::{
    CheckSpec, FromWorker, HookSpec, Load, LoadFault, PluginInfo, PluginSpec, Subject, Wish,
};
use serde_json::Value;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::bindings::{check, hook, lifecycle};
use crate::contract::{self, Interfaces};
use crate::fault;
use crate::file::{Binary, FileError};
use crate::frames::Outbox;
use crate::grants::Grants;
use crate::host::{LogBudget, Shared, State};
use crate::plugin::{Answer, Exports, Job, Plugin};
use crate::run;
use crate::schema::Schema;
use crate::text::one_line;

/// Time for one call of `describe` or `validate`, instantiation included. They are pure and take
/// microseconds; the rest is for a machine that is busy starting up.
const BUDGET: Duration = Duration::from_secs(1);
/// Wishes kept of a description, and problems kept of one validation.
const KEPT: usize = 64;
/// Longest name, version, summary and message of a plugin, in bytes.
const TEXT: usize = 256;
/// Bytes of all schemas in one answer; a frame holds twice that.
const SCHEMAS: usize = 512 << 10;

/// A plugin's file as it was read before the confinement.
pub(crate) type Candidate = (PluginSpec, Result<Binary, FileError>);

/// What loading came to.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The plugins that could be compiled.
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
}

/// A plugin that was loaded, with what its uses are checked against.
struct Loaded {
    plugin: Arc<Plugin>,
    roles: Vec<String>,
    schema: Option<Schema>,
}

/// Loads all of it. Never stops at the first fault.
///
/// Each plugin is announced before anything is done with it, so that the daemon knows the suspect
/// if the worker does not survive it.
pub(crate) async fn load(
    engine: &Engine,
    shared: &Arc<Shared>,
    outbox: &Outbox,
    candidates: Vec<Candidate>,
    request: Load,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut linker = Linker::new(engine);
    if let Err(error) = crate::host::link(&mut linker) {
        let message = format!("the worker cannot link its own interfaces: {error}");
        outcome.faults.push(fault::of_plugin("", message, None));
        return outcome;
    }
    let mut loaded = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for (spec, binary) in candidates {
        let name = spec.name.clone();
        announce(outbox, &name).await;
        match plugin(engine, &linker, shared, spec, binary).await {
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
        announce(outbox, &spec.plugin).await;
        match usable(&loaded, &broken, shared, subject, used).await {
            Ok((plugin, settings)) => outcome.checks.push(Use {
                spec,
                plugin,
                settings,
            }),
            Err(faults) => outcome.faults.extend(faults),
        }
    }
    for spec in request.hooks {
        let subject = Subject::Hook(spec.name.clone());
        let used = (spec.plugin.as_str(), "hook", &spec.settings);
        announce(outbox, &spec.plugin).await;
        match usable(&loaded, &broken, shared, subject, used).await {
            Ok((plugin, settings)) => outcome.hooks.push(Use {
                spec,
                plugin,
                settings,
            }),
            Err(faults) => outcome.faults.extend(faults),
        }
    }
    outcome.faults = fault::bounded(outcome.faults);
    bound_schemas(&mut outcome.plugins);
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

async fn announce(outbox: &Outbox, plugin: &str) {
    outbox
        .send(&FromWorker::RunStarted {
            plugin: plugin.to_owned(),
            subject: Subject::Load,
        })
        .await;
}

type Refused = (Option<PluginInfo>, Vec<LoadFault>);

/// Compiles, links, instantiates and describes one plugin.
async fn plugin(
    engine: &Engine,
    linker: &Linker<State>,
    shared: &Arc<Shared>,
    spec: PluginSpec,
    binary: Result<Binary, FileError>,
) -> Result<(PluginInfo, Loaded), Refused> {
    let name = spec.name;
    let mut faults = Vec::new();
    let grants = Grants::new(spec.grants).unwrap_or_else(|wrong| {
        faults.push(fault::of_plugin(
            &name,
            format!(
                "its permission `probe` has addresses that are none: {}",
                wrong.join(", ")
            ),
            Some("write literals like 10.0.0.5 or prefixes like 10.0.0.0/24, no names".to_owned()),
        ));
        Grants::default()
    });
    let binary = match binary {
        Ok(binary) => binary,
        Err(error) => {
            faults.push(fault::of_plugin(&name, error.to_string(), error.help()));
            return Err((None, faults));
        }
    };
    let size = binary.bytes.len() as u64;
    let start = Instant::now();
    let component = match compile(engine.clone(), binary.bytes).await {
        Ok(component) => component,
        Err(error) => {
            let message = one_line(&format!("is not a valid component: {error}"), 2 * TEXT);
            faults.push(fault::of_plugin(
                &name,
                message,
                Some("build it again; `wasm-tools validate` tells more".to_owned()),
            ));
            return Err((None, faults));
        }
    };
    let interfaces = Interfaces::of(&component, engine);
    let mut info = PluginInfo {
        name: name.clone(),
        sha256: binary.sha256,
        size,
        api: interfaces.api.clone(),
        roles: interfaces.roles.clone(),
        imports: interfaces
            .imports
            .iter()
            .take(KEPT)
            .map(|name| one_line(name, TEXT))
            .collect(),
        described: None,
        settings_schema: None,
        wishes: Vec::new(),
        compile_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    if !interfaces.unknown.is_empty() {
        let names: Vec<String> = interfaces
            .unknown
            .iter()
            .take(KEPT)
            .map(|name| one_line(name, TEXT))
            .collect();
        let list = names.join(", ");
        faults.push(fault::of_plugin(
            &name,
            format!("imports what this daemon does not have: {list}"),
            Some(contract::help_for(&interfaces.unknown)),
        ));
        return Err((Some(info), faults));
    }
    let exports = |instances: &_| -> wasmtime::Result<Exports> {
        let has = |role: &str| interfaces.roles.iter().any(|r| r == role);
        Ok(Exports {
            check: has("check")
                .then(|| check::GuestIndices::new(instances))
                .transpose()?,
            hook: has("hook")
                .then(|| hook::GuestIndices::new(instances))
                .transpose()?,
            lifecycle: interfaces
                .lifecycle
                .then(|| lifecycle::GuestIndices::new(instances))
                .transpose()?,
        })
    };
    let linked = linker
        .instantiate_pre(&component)
        .and_then(|instances| Ok((exports(&instances)?, instances)));
    let (exports, instances) = match linked {
        Ok(linked) => linked,
        Err(error) => {
            faults.push(fault::of_plugin(
                &name,
                one_line(&format!("does not fit the contract: {error:#}"), 2 * TEXT),
                Some("build it against the worlds in wit/ of this version".to_owned()),
            ));
            return Err((Some(info), faults));
        }
    };
    let plugin = Arc::new(Plugin {
        name: name.clone(),
        grants: Arc::new(grants),
        log: Arc::new(LogBudget::new(spec.limits.log_lines_per_minute)),
        limits: spec.limits,
        instances,
        exports,
    });
    let schema = match describe(&plugin, shared, &mut info).await {
        Ok(schema) => schema,
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    if !faults.is_empty() {
        return Err((Some(info), faults));
    }
    let roles = interfaces.roles;
    Ok((
        info,
        Loaded {
            plugin,
            roles,
            schema,
        },
    ))
}

async fn compile(engine: Engine, bytes: Vec<u8>) -> Result<Component, String> {
    let compiled =
        tokio::task::spawn_blocking(move || Component::from_binary(&engine, &bytes)).await;
    match compiled {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(error)) => Err(error.root_cause().to_string()),
        Err(_) => Err("the compiler failed on it".to_owned()),
    }
}

/// Makes an instance, looks up its exports and takes over its description, without any grant.
async fn describe(
    plugin: &Plugin,
    shared: &Arc<Shared>,
    info: &mut PluginInfo,
) -> Result<Option<Schema>, LoadFault> {
    let name = &plugin.name;
    let ending = run::run(plugin, shared, Job::Inspect, BUDGET, false).await;
    let description = match ending.answer {
        Ok(Answer::Inspected(Some(description))) => description,
        Ok(_) => return Ok(None),
        Err(why) => {
            let phase = match plugin.exports.lifecycle {
                Some(_) => "instantiated and described",
                None => "instantiated",
            };
            let message = format!("cannot be {phase}: {}", why.message);
            return Err(fault::of_plugin(name, message, None));
        }
    };
    info.described = Some((
        one_line(&description.name, TEXT),
        one_line(&description.version, TEXT),
        one_line(&description.summary, TEXT),
    ));
    info.wishes = description
        .wishes
        .iter()
        .take(KEPT)
        .map(|wish| Wish {
            capability: one_line(&wish.capability, TEXT),
            scope: one_line(&wish.scope, TEXT),
            optional: wish.optional,
        })
        .collect();
    let Some(text) = description.settings_schema else {
        return Ok(None);
    };
    let schema = Schema::new(&text).map_err(|error| {
        let message = format!(
            "its settings schema cannot be used: {}",
            one_line(&error, TEXT)
        );
        fault::of_plugin(
            name,
            message,
            Some("correct the plugin's describe".to_owned()),
        )
    })?;
    info.settings_schema = Some(schema.document.clone());
    Ok(Some(schema))
}

/// Finds the plugin of a use and checks its role and settings.
async fn usable(
    loaded: &BTreeMap<String, Loaded>,
    broken: &BTreeSet<String>,
    shared: &Arc<Shared>,
    subject: Subject,
    (name, role, settings): (&str, &str, &Value),
) -> Result<(Arc<Plugin>, Arc<str>), Vec<LoadFault>> {
    let Some(found) = loaded.get(name) else {
        if broken.contains(name) {
            // Its own faults say it all.
            return Err(Vec::new());
        }
        let message = format!("there is no plugin {name}");
        return Err(vec![fault::of_use(name, subject, None, message, None)]);
    };
    if !found.roles.iter().any(|r| r == role) {
        let message = if found.roles.is_empty() {
            format!("the plugin exports no mainstay:plugin/{role}, nor any other of its interfaces")
        } else {
            format!(
                "the plugin exports no mainstay:plugin/{role}, it is a {}",
                found.roles.join(" and ")
            )
        };
        let help = format!("use a plugin of the world {role}-plugin here");
        return Err(vec![fault::of_use(
            name,
            subject,
            None,
            message,
            Some(help),
        )]);
    }
    let wrong = |pointer: String, message: &str| {
        let message = one_line(message, 2 * TEXT);
        fault::of_use(name, subject.clone(), Some(pointer), message, None)
    };
    if let Some(schema) = &found.schema {
        let faults = schema.faults(settings);
        if !faults.is_empty() {
            let faults = faults.into_iter().map(|(at, what)| wrong(at, &what));
            return Err(faults.collect());
        }
    }
    let text: Arc<str> = settings.to_string().into();
    if found.plugin.exports.lifecycle.is_some() {
        let job = Job::Validate(text.to_string());
        let ending = run::run(&found.plugin, shared, job, BUDGET, false).await;
        match ending.answer {
            Ok(Answer::Problems(problems)) if !problems.is_empty() => {
                let problems = problems.into_iter().take(KEPT);
                return Err(problems
                    .map(|problem| wrong(one_line(&problem.pointer, TEXT), &problem.message))
                    .collect());
            }
            Ok(_) => {}
            Err(why) => {
                let message = format!("the plugin cannot validate its settings: {}", why.message);
                return Err(vec![fault::of_use(name, subject, None, message, None)]);
            }
        }
    }
    Ok((found.plugin.clone(), text))
}
