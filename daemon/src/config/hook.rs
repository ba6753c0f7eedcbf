//! `[[hook]]`: a use of a plugin that is told what happened.

use std::time::Duration;

use mainstay_protocol::HookSpec;

use super::check::milliseconds;
use super::json::{self, Settings};
use super::names::Unique;
use super::plugin::TIMEOUT;
use super::table::{Spot, Table};
use super::uses::Plugins;

/// How long one call may take.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A hook as the worker wants it, and where its parts stand.
pub(super) struct Hook<'a> {
    /// For the worker.
    pub(super) worker: HookSpec,
    /// Where it stands.
    pub(super) spot: Spot<'a>,
    /// Its settings with their places.
    pub(super) settings: Settings,
}

/// Reads one `[[hook]]`; `None` when so much is wrong that nothing can be made of it.
pub(super) fn read<'a>(
    mut table: Table<'a>,
    names: &mut Unique<String>,
    plugins: &mut Plugins<'a>,
) -> Option<Hook<'a>> {
    let name = table.take("name");
    let plugin = table.require("plugin", "\"log\"");
    let settings = json::settings(table.take("settings"));
    if let Some(events) = table.take("events") {
        let chosen = events.list(|event| event.one_of(&[("router", ())]));
        if chosen.is_empty()
            && events
                .content()
                .as_array()
                .is_some_and(|list| list.is_empty())
        {
            events.spot.error(
                "a hook without events is never called",
                Some("for example events = [\"router\"]".to_owned()),
            );
        }
    }
    let timeout = table.take("timeout").map_or(Some(None), |value| {
        value.duration(TIMEOUT[0]..=TIMEOUT[1]).map(Some)
    });
    let spot = table.spot.clone();
    table.finish();

    let plugin = plugin?;
    let named = name.as_ref().unwrap_or(&plugin);
    let name = named.name()?.to_owned();
    let unique = names.claim(
        name.clone(),
        &named.spot,
        &format!("the hook name \"{name}\""),
        "give each hook a name of its own; without one it is called like its plugin",
    );
    let used = plugins.serve(&plugin, &name, &settings.json)?;
    let ceiling = used.timeout.unwrap_or(Duration::MAX);
    unique.then_some(Hook {
        worker: HookSpec {
            name,
            plugin: used.plugin,
            settings: settings.json.clone(),
            timeout_ms: milliseconds(timeout?.unwrap_or(DEFAULT_TIMEOUT).min(ceiling)),
        },
        spot,
        settings,
    })
}
