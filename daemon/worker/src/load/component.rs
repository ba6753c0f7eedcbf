//! One plugin: linked, instantiated once, and described.

use std::sync::Arc;

use mainstay_protocol::{LoadFault, PluginInfo, PluginSpec};
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::{BUDGET, Codes, IMPORTS, KEPT, TEXT, files};
use crate::contract::{self, Interfaces};
use crate::fault;
use crate::grants::Grants;
use crate::host::{LogBudget, Shared, State};
use crate::plugin::{Answer, Job, Linked, Plugin};
use crate::pool::Pool;
use crate::run::{self, Permission};
use crate::schema::Schema;
use crate::text::one_line;
use crate::turn::Turn;
use crate::wishes;

/// A plugin that was loaded, with what its uses are checked against.
pub(super) struct Loaded {
    pub(super) plugin: Arc<Plugin>,
    pub(super) roles: Vec<String>,
    pub(super) schema: Option<Arc<Schema>>,
}

pub(super) type Refused = (Option<PluginInfo>, Vec<LoadFault>);

/// Links, instantiates and describes one plugin.
pub(super) async fn load(
    engine: &Engine,
    linker: &Linker<State>,
    shared: &Arc<Shared>,
    codes: &Codes,
    unstable: &[String],
    room: &mut u64,
    (number, spec): (usize, PluginSpec),
) -> Result<(PluginInfo, Loaded), Refused> {
    let name = spec.name.clone();
    let granted = spec.grants.clone();
    let mut faults = Vec::new();
    let grants = Grants::new(&name, spec.grants).unwrap_or_else(|wrong| {
        faults.push(fault::of_plugin(
            &name,
            format!(
                "its permissions have addresses that are none: {}",
                wrong.join(", ")
            ),
            Some("write literals like 10.0.0.5 or prefixes like 10.0.0.0/24, no names".to_owned()),
        ));
        Grants::default()
    });
    faults.extend(files::faults(&name, &grants.files));
    let grants = grants.with_secrets(spec.secrets);
    let Some(code) = codes.get(&spec.code) else {
        let message = "its code was not sent along".to_owned();
        faults.push(fault::of_plugin(&name, message, None));
        return Err((None, faults));
    };
    let interfaces = Interfaces::of(&code.component, engine);
    let mut info = PluginInfo {
        name: name.clone(),
        api: interfaces.api.clone(),
        roles: interfaces.roles.clone(),
        imports: interfaces
            .imports
            .iter()
            .take(IMPORTS)
            .map(|name| one_line(name, TEXT))
            .collect(),
        described: None,
        settings_schema: None,
        wishes: Vec::new(),
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
    let not_allowed = interfaces.not_allowed(unstable);
    if !not_allowed.is_empty() {
        let list = not_allowed.join("\", \"");
        faults.push(fault::of_plugin(
            &name,
            format!("uses what may still change in the contract: \"{list}\""),
            Some(format!(
                "to allow that, write unstable = [\"{list}\"] in [plugins]"
            )),
        ));
        return Err((Some(info), faults));
    }
    let linked = match Linked::new(linker, &code.component, &interfaces) {
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
    let mut plugin = Plugin {
        name: name.clone(),
        number,
        grants: Arc::new(grants),
        log: Arc::new(LogBudget::new(spec.limits.log_lines_per_minute)),
        limits: spec.limits,
        linked,
        pool: None,
    };
    let schema = match describe(&plugin, &granted, shared, &mut info).await {
        Ok(schema) => schema,
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    if !faults.is_empty() {
        return Err((Some(info), faults));
    }
    if plugin.linked.exports.check.is_some() {
        plugin.pool = Pool::of(code, &interfaces, &plugin.limits, &shared.ticker, room);
    }
    let roles = interfaces.roles;
    Ok((
        info,
        Loaded {
            plugin: Arc::new(plugin),
            roles,
            schema,
        },
    ))
}

/// Makes an instance, looks up its exports and takes over its description, without any grant.
async fn describe(
    plugin: &Plugin,
    granted: &mainstay_protocol::Grants,
    shared: &Arc<Shared>,
    info: &mut PluginInfo,
) -> Result<Option<Arc<Schema>>, LoadFault> {
    let name = &plugin.name;
    let ending = run::run(
        plugin,
        shared,
        Job::Inspect,
        BUDGET,
        Permission::Nothing,
        Turn::default(),
    )
    .await;
    let description = match ending.answer {
        Ok(Answer::Inspected(Some(description))) => description,
        Ok(_) => return Ok(None),
        Err(why) => {
            let phase = match plugin.linked.exports.lifecycle {
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
        .map(|wish| wishes::weigh(wish, granted))
        .collect();
    let Some(text) = description.settings_schema else {
        return Ok(None);
    };
    let schema = Schema::read(text).await.map_err(|error| {
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
