//! `mainstay plugin list`: the plugins that the daemon serves.

use std::path::Path;
use std::process::ExitCode;

use mainstay_core::status::CheckStatus;
use serde::Serialize;

use super::super::{ask, misunderstood};
use super::text::columns;
use super::{Failure, print, print_json};
use crate::code::{self, FileError};
use crate::config;
use crate::control::{PluginStatus, Request, Response};
use crate::exit;

/// Prints the plugins of the daemon of this runtime directory.
pub(crate) fn list(runtime_dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let Response::Status(document) = ask(runtime_dir, &Request::Status, exit::UNAVAILABLE)? else {
        return Err(misunderstood());
    };
    let listed: Vec<Listed> = (document.plugins.into_iter())
        .map(|plugin| {
            let now = code::digest(&plugin.served.file);
            Listed::of(plugin, now)
        })
        .collect();
    if json {
        return print_json(&listed);
    }
    print(&render(&listed, &document.engine.checks))
}

/// A plugin, and what has become of its file.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    #[serde(flatten)]
    plugin: PluginStatus,
    /// Why what is in the place of its file now is not what was loaded; nothing when it is.
    file_differs: Option<String>,
}

impl Listed {
    /// `now` is the digest of what stands in the place of the plugin's file now.
    fn of(plugin: PluginStatus, now: Result<String, FileError>) -> Self {
        let file_differs = match now {
            Ok(digest) if digest == plugin.served.sha256 => None,
            Ok(_) => Some("the file has changed; a reload would load it".to_owned()),
            Err(error) => Some(format!("{error}; what was loaded goes on")),
        };
        Self {
            plugin,
            file_differs,
        }
    }
}

fn render(plugins: &[Listed], checks: &[CheckStatus]) -> String {
    let heading = ["PLUGIN", "VERSION", "ROLES", "STATE", "SHA256", "FILE"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    for Listed {
        plugin,
        file_differs,
    } in plugins
    {
        let served = &plugin.served;
        rows.push(vec![
            plugin.name.clone(),
            served.version.clone().unwrap_or_else(|| "-".to_owned()),
            served.roles.join(", "),
            plugin.worker.clone(),
            served.sha256.chars().take(12).collect(),
            served.file.display().to_string(),
        ]);
        let mut note = |text: &str| {
            let name = super::text::plain(&plugin.name);
            notes += &format!("\n{name}: {}\n", super::text::plain(text));
        };
        if let Some(how) = file_differs {
            note(how);
        }
        let plugin_name = config::plugin_name(&plugin.name);
        for check in checks.iter().filter(|check| check.plugin == plugin_name) {
            if check.message.starts_with("quarantined: ") {
                note(&format!("check {}: {}", check.name, check.message));
            }
        }
        for wish in &served.lacks {
            let (capability, scope) = (&wish.capability, &wish.scope);
            let can = if wish.optional {
                "can do without"
            } else {
                "asks for"
            };
            let line = wish.line.as_ref();
            let line = line.map_or_else(String::new, |line| format!("; to grant it: {line}"));
            note(&format!(
                "{can} {capability} {scope}, which is not granted{line}"
            ));
        }
        if let Some(error) = &served.last_error {
            note(&format!("last error: {error}"));
        }
    }
    columns(&rows) + &notes
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mainstay_core::status::CheckState;
    use mainstay_protocol::Wish;

    use super::*;
    use crate::worker::ServedPlugin;

    #[test]
    fn what_differs_from_the_file_and_what_failed_is_said() {
        let plugin = |name: &str, last_error: Option<&str>| PluginStatus {
            name: name.to_owned(),
            served: ServedPlugin {
                file: PathBuf::from("/p").join(name),
                sha256: "ab".repeat(32),
                version: Some("1.2.3".to_owned()),
                api: None,
                roles: vec!["check".to_owned()],
                lacks: Vec::new(),
                last_error: last_error.map(str::to_owned),
            },
            worker: "running".to_owned(),
        };
        let mut plugins = [
            plugin("same", None),
            plugin("changed", Some("check c: trap \u{1b}[2J")),
            plugin("gone", None),
        ];
        plugins[2].served.lacks = vec![Wish {
            capability: "process".to_owned(),
            scope: "nginx".to_owned(),
            optional: false,
            granted: false,
            line: Some("LINE".to_owned()),
        }];
        let resting = CheckStatus {
            name: "c".to_owned(),
            plugin: "gone".to_owned(),
            status: CheckState::Error,
            in_service: false,
            message: "quarantined: rests after 5 traps in a row, 42 s more".to_owned(),
            runs: 5,
            errors: 5,
            last_run_seconds: 0.0,
        };
        let listed = plugins.map(|plugin| {
            let now = match plugin.name.as_str() {
                "same" => Ok("ab".repeat(32)),
                "changed" => Ok("cd".repeat(32)),
                _ => Err(FileError::Missing(plugin.served.file.clone())),
            };
            Listed::of(plugin, now)
        });
        let text = render(&listed, &[resting]);
        let differs = listed.map(|one| serde_json::to_value(one).unwrap()["file-differs"].clone());
        assert_eq!(differs[0], serde_json::Value::Null);
        assert_eq!(differs[1], "the file has changed; a reload would load it");
        assert!(
            text.contains("same     1.2.3    check  running  abababababab  /p/same\n"),
            "{text}"
        );
        assert!(!text.contains("\nsame: "), "{text}");
        assert!(
            text.contains("\nchanged: the file has changed; a reload would load it\n"),
            "{text}"
        );
        assert!(
            text.contains("\nchanged: last error: check c: trap \\u{1b}[2J\n"),
            "{text}"
        );
        let gone = "\ngone: there is no file /p/gone; what was loaded goes on\n";
        assert!(text.contains(gone), "{text}");
        for note in [
            "\ngone: asks for process nginx, which is not granted; to grant it: LINE\n",
            "\ngone: check c: quarantined: rests after 5 traps in a row, 42 s more\n",
        ] {
            assert!(text.contains(note), "{text}");
        }
    }
}
