//! `[[check]]`: a use of a plugin that decides about routers.

use std::net::SocketAddr;
use std::time::Duration;

use mainstay_core::settings::{CheckSettings, Initial, OnError};
use mainstay_protocol::CheckSpec;

use super::json::{self, Settings};
use super::names::Unique;
use super::plugin::TIMEOUT;
use super::table::{Spot, Table};
use super::uses::Plugins;
use super::value::Value;
use super::{digest, endpoint};

/// The shortest and the longest interval.
const INTERVAL: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(86_400)];

/// A check as the engine and as the worker want it, and where its parts stand.
pub(super) struct Check<'a> {
    /// For the engine.
    pub(super) engine: CheckSettings,
    /// For the worker.
    pub(super) worker: CheckSpec,
    /// Where it stands.
    pub(super) spot: Spot<'a>,
    /// Its settings with their places.
    pub(super) settings: Settings,
}

/// Reads one `[[check]]`; `None` when so much is wrong that nothing can be made of it.
pub(super) fn read<'a>(
    mut table: Table<'a>,
    names: &mut Unique<String>,
    plugins: &mut Plugins<'a>,
) -> Option<Check<'a>> {
    let name = table.require("name", "\"nginx\"");
    let plugin = table.require("plugin", "\"process\"");
    let settings = json::settings(table.take("settings"));
    let interval = table
        .take("interval")
        .map_or(Some(DEFAULT_INTERVAL), |value| {
            value.duration(INTERVAL[0]..=INTERVAL[1])
        });
    let timeout = table.take("timeout");
    let rise = table.take("rise").and_then(|value| value.number(1..=1000));
    let fall = table.take("fall").and_then(|value| value.number(1..=1000));
    let initial = table.take("initial").and_then(|value| {
        value.one_of(&[
            ("unhealthy", Initial::Unhealthy),
            ("healthy", Initial::Healthy),
        ])
    });
    let on_error = table.take("on-error").and_then(|value| {
        value.one_of(&[
            ("keep", OnError::Keep),
            ("fail", OnError::Fail),
            ("pass", OnError::Pass),
        ])
    });
    let stale_after = table.take("stale-after");
    let target = table.take("target").map(|value| endpoint(&value));
    let jitter = table.take("jitter");
    let quarantine_after = table
        .take("quarantine-after")
        .and_then(|value| value.number(1..=1000));
    let quarantine = table
        .take("quarantine")
        .and_then(|value| value.duration(Duration::from_secs(1)..=INTERVAL[1]));
    let spot = table.spot.clone();
    table.finish();

    let name_value = name?;
    let name = name_value.name()?.to_owned();
    let unique = names.claim(
        name.clone(),
        &name_value.spot,
        &format!("the check name \"{name}\""),
        "give each check a name of its own",
    );
    let used = plugins.serve(&plugin?, &name, &settings.json);
    let interval = interval?;
    let ceiling = used.as_ref().and_then(|used| used.timeout);
    let timeout = match timeout {
        Some(value) => {
            let timeout = value.duration(TIMEOUT[0]..=TIMEOUT[1])?;
            if timeout > interval {
                value.spot.error(
                    format!(
                        "a timeout of {} is longer than the interval of {}",
                        humantime::format_duration(timeout),
                        humantime::format_duration(interval)
                    ),
                    Some("shorten the timeout or lengthen the interval".to_owned()),
                );
            }
            if let Some(ceiling) = ceiling.filter(|ceiling| timeout > *ceiling) {
                value.spot.error(
                    format!(
                        "a timeout of {} is over the plugin's limit of {}",
                        humantime::format_duration(timeout),
                        humantime::format_duration(ceiling)
                    ),
                    Some("raise timeout in [plugin.limits], or shorten this one".to_owned()),
                );
            }
            timeout
        }
        None => DEFAULT_TIMEOUT
            .min(interval)
            .min(ceiling.unwrap_or(Duration::MAX)),
    };
    let jitter = match jitter {
        Some(value) => value.duration(Duration::ZERO..=interval / 2)?,
        None => Duration::ZERO,
    };
    let late = jitter + timeout;
    let stale_after = match stale_after {
        Some(value) => value.duration(interval + late..=INTERVAL[1] * 4)?,
        None => 3 * interval + late,
    };
    let target = match target {
        Some(target) => Some(target?),
        None => None,
    };
    let used = used?;
    unique.then_some(Check {
        engine: CheckSettings {
            name: name.clone(),
            plugin: super::plugin_name(&used.plugin).to_owned(),
            identity: digest::of_check(&used.digest, &settings.json, target),
            rise: rise.unwrap_or(2),
            fall: fall.unwrap_or(3),
            initial: initial.unwrap_or(Initial::Unhealthy),
            on_error: on_error.unwrap_or(OnError::Keep),
            stale_after,
        },
        worker: CheckSpec {
            name,
            plugin: used.plugin,
            settings: settings.json.clone(),
            target,
            interval_ms: milliseconds(interval),
            jitter_ms: whole_milliseconds(jitter),
            timeout_ms: milliseconds(timeout),
            quarantine_after: quarantine_after.unwrap_or(5),
            quarantine_ms: milliseconds(quarantine.unwrap_or(DEFAULT_QUARANTINE)),
        },
        spot,
        settings,
    })
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_QUARANTINE: Duration = Duration::from_secs(60);

/// An endpoint: an address literal and a port.
fn endpoint(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    let endpoint = endpoint::parse(text);
    if endpoint.is_none() {
        value.spot.error(
            format!("\"{}\" is no endpoint", text.escape_default()),
            Some(endpoint::EXPECTED.to_owned()),
        );
    }
    endpoint
}

/// Whole milliseconds, never 0: what is configured is at least one.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    whole_milliseconds(duration).max(1)
}

fn whole_milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
