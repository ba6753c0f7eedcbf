//! Where things stand that only the worker can judge: plugins and their settings.

use std::collections::BTreeMap;

use mainstay_protocol::{LoadFault, Subject};

use super::check::Check;
use super::hook::Hook;
use super::json::Settings;
use super::plugin_name;
use super::problem::{Place, Problem, Severity};
use super::table::Spot;

/// A key and its place.
type Position = (String, Place);

/// The places of a configuration.
#[derive(Debug)]
pub(super) struct Places {
    plugins: BTreeMap<String, Position>,
    checks: BTreeMap<String, User>,
    hooks: BTreeMap<String, User>,
}

/// A check or hook.
#[derive(Debug)]
struct User {
    table: Position,
    /// By JSON Pointer.
    settings: BTreeMap<String, Position>,
}

impl Places {
    /// The places of these plugins, checks and hooks.
    pub(super) fn new(
        plugins: BTreeMap<String, Position>,
        checks: &[Check<'_>],
        hooks: &[Hook<'_>],
    ) -> Self {
        Self {
            plugins,
            checks: checks
                .iter()
                .map(|check| {
                    (
                        check.worker.name.clone(),
                        user(&check.spot, &check.settings),
                    )
                })
                .collect(),
            hooks: hooks
                .iter()
                .map(|hook| (hook.worker.name.clone(), user(&hook.spot, &hook.settings)))
                .collect(),
        }
    }

    /// The fault with its place: the setting, or what comes nearest to it.
    pub(super) fn locate(&self, fault: &LoadFault) -> Problem {
        let pointer = fault.pointer.as_deref();
        let position = match &fault.subject {
            Subject::Check(name) => self.checks.get(name).map(|user| user.position(pointer)),
            Subject::Hook(name) => self.hooks.get(name).map(|user| user.position(pointer)),
            Subject::Load => None,
        };
        let position = position.or_else(|| self.plugins.get(&fault.plugin));
        let (key, place) = position.cloned().unwrap_or_else(|| {
            let place = Place {
                file: "configuration".into(),
                position: None,
            };
            (String::new(), place)
        });
        Problem {
            severity: Severity::Error,
            place,
            key,
            message: format!(
                "plugin \"{}\": {}",
                plugin_name(&fault.plugin),
                fault.message
            ),
            help: fault.help.clone(),
        }
    }
}

impl User {
    fn position(&self, pointer: Option<&str>) -> &Position {
        let mut pointer = pointer.unwrap_or("");
        loop {
            if let Some(position) = self.settings.get(pointer) {
                return position;
            }
            match pointer.rfind('/') {
                Some(parent) => pointer = &pointer[..parent],
                None => return &self.table,
            }
        }
    }
}

fn user(spot: &Spot<'_>, settings: &Settings) -> User {
    User {
        table: (spot.key().to_owned(), spot.place()),
        settings: settings.places.clone(),
    }
}
