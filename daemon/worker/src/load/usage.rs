//! One use of a plugin: its role, and its settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstay_protocol::{LoadFault, Subject};
use serde_json::Value;

use super::component::Loaded;
use super::{BUDGET, KEPT, TEXT};
use crate::fault;
use crate::host::Shared;
use crate::plugin::{Answer, Job, Plugin};
use crate::run::{self, Permission};
use crate::text::one_line;
use crate::turn::Turn;

/// Finds the plugin of a use and checks its role and settings.
pub(super) async fn check(
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
    let wrong = |pointer: String, message: &str, help: Option<String>| {
        let message = one_line(message, 2 * TEXT);
        fault::of_use(name, subject.clone(), Some(pointer), message, help)
    };
    if let Some(schema) = &found.schema {
        let faults = match Arc::clone(schema).check(settings.clone()).await {
            Ok(faults) => faults,
            Err(error) => {
                let message = format!("its settings schema cannot be used: {error}");
                return Err(vec![fault::of_use(name, subject, None, message, None)]);
            }
        };
        if !faults.is_empty() {
            return Err(faults
                .into_iter()
                .map(|fault| wrong(fault.pointer, &fault.message, fault.help))
                .collect());
        }
    }
    let text: Arc<str> = settings.to_string().into();
    if found.plugin.linked.exports.lifecycle.is_some() {
        let job = Job::Validate(text.to_string());
        let ending = run::run(
            &found.plugin,
            shared,
            job,
            BUDGET,
            Permission::Nothing,
            Turn::default(),
        )
        .await;
        match ending.answer {
            Ok(Answer::Problems(problems)) if !problems.is_empty() => {
                let problems = problems.into_iter().take(KEPT);
                return Err(problems
                    .map(|problem| wrong(one_line(&problem.pointer, TEXT), &problem.message, None))
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
