//! `[[hook]]`: a use of a plugin that is told what happened.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay_protocol::HookSpec;

use super::check::milliseconds;
use super::json::{self, Settings};
use super::names::Unique;
use super::plugin::TIMEOUT;
use super::table::{Spot, Table};
use super::uses::Plugins;
use super::value::Value;
use crate::hooks::{Kind, Subscription};

/// How long one call may take.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long an event is tried to be delivered, at least.
const LEAST_DEADLINE: Duration = Duration::from_secs(5);

/// A hook as the worker wants it, and where its parts stand.
pub(super) struct Hook<'a> {
    /// What it is told of.
    pub(super) subscription: Subscription,
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
    let kinds = table
        .take("events")
        .map_or_else(|| BTreeSet::from([Kind::Router]), |value| kinds(&value));
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
    let timeout = timeout?.unwrap_or(DEFAULT_TIMEOUT).min(ceiling);
    unique.then_some(Hook {
        subscription: Subscription {
            hook: name.clone(),
            kinds,
            deadline: LEAST_DEADLINE.max(timeout),
        },
        worker: HookSpec {
            name,
            plugin: used.plugin,
            settings: settings.json.clone(),
            timeout_ms: milliseconds(timeout),
        },
        spot,
        settings,
    })
}

/// The kinds of events that a hook asks for.
fn kinds(events: &Value<'_>) -> BTreeSet<Kind> {
    let none = events
        .content()
        .as_array()
        .is_some_and(|list| list.is_empty());
    if none {
        events.spot.error(
            "a hook without events is never called",
            Some("for example events = [\"router\"]".to_owned()),
        );
    }
    events.list(kind).into_iter().collect()
}

fn kind(event: &Value<'_>) -> Option<Kind> {
    if let Some("quorum" | "server") = event.content().as_str() {
        event.spot.error(
            "there are no virtual servers yet, so this would never happen",
            Some("there are \"router\", \"check\" and \"daemon\"".to_owned()),
        );
        return None;
    }
    event.one_of(&[
        ("router", Kind::Router),
        ("check", Kind::Check),
        ("daemon", Kind::Daemon),
    ])
}
