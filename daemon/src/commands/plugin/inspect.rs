//! `mainstay plugin inspect`: what a plugin is, imports and would like to be granted.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bytesize::ByteSize;
use mainstay_protocol::{Anatomy, PluginInfo, Wish};
use serde::Serialize;

use super::text::{columns, plain};
use super::{Failure, Grant, plan_of, print, print_json, refused};
use crate::code;
use crate::exit;
use crate::worker::{Source, examine_once, load_once};

/// Prints what is known of a component.
pub(crate) fn inspect(
    worker: &Source,
    file: &Path,
    grants: &[Grant],
    json: bool,
) -> Result<ExitCode, Failure> {
    let mut plan = plan_of(file)?;
    for plugin in &mut Arc::make_mut(&mut plan.load).plugins {
        for grant in grants {
            grant.add_to(&mut plugin.grants);
        }
    }
    let loaded = load_once(worker, &plan).map_err(|error| refused(error, file))?;
    let code = loaded.codes.by_digest.into_iter().next();
    let (Some(plugin), Some((sha256, code))) = (loaded.plugins.first(), code) else {
        return Err(Failure::new(
            exit::UNAVAILABLE,
            "the plugin worker told nothing of the plugin",
        ));
    };
    let found = plan.components.get(&sha256);
    let component = found.map(|found| code::read(found, &sha256)).transpose();
    let component = component.map_err(|error| Failure::new(exit::DATA, error))?;
    let anatomy = component
        .map(|component| examine_once(worker, &component))
        .transpose()
        .map_err(|error| refused(error, file))?
        .unwrap_or_default();
    let inspected = Inspected {
        plugin,
        anatomy,
        sha256,
        size: code.component_size,
        compile_us: code
            .compiled_in
            .map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
    };
    if json {
        return print_json(&inspected);
    }
    print(&render(&inspected))
}

/// All that is known of a component.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Inspected<'a> {
    #[serde(flatten)]
    plugin: &'a PluginInfo,
    /// What it is made of, and by.
    anatomy: Anatomy,
    /// Lower-case hex digest of the file.
    sha256: String,
    /// Size of the file, in bytes.
    size: u64,
    /// Time to compile, in microseconds; nothing when it was compiled before.
    compile_us: Option<u64>,
}

fn render(inspected: &Inspected<'_>) -> String {
    let plugin = inspected.plugin;
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let mut rows = Vec::new();
    match &plugin.described {
        Some((name, version, summary)) => {
            rows.push(row("plugin", format!("{name} {version}")));
            if !summary.is_empty() {
                rows.push(row("summary", summary.clone()));
            }
        }
        None => rows.push(row(
            "plugin",
            format!("{} (describes nothing)", plugin.name),
        )),
    }
    rows.push(row("roles", plugin.roles.join(", ")));
    rows.push(row(
        "contract",
        plugin.api.clone().unwrap_or_else(|| "unknown".to_owned()),
    ));
    rows.push(row("sha256", inspected.sha256.clone()));
    rows.push(row("size", ByteSize(inspected.size).to_string()));
    rows.push(match inspected.compile_us {
        Some(took) => row("compiled in", format!("{:.1} ms", took as f64 / 1000.0)),
        None => row("compiled", "before, taken from the cache".to_owned()),
    });
    rows.extend(
        plugin
            .imports
            .iter()
            .map(|import| row("imports", imported(import))),
    );
    for wish in &plugin.wishes {
        rows.push(row("wishes", wished(wish)));
        if let Some(line) = &wish.line {
            rows.push(row("", format!("this would grant it: {line}")));
        }
    }
    let anatomy = &inspected.anatomy;
    rows.push(row("modules", anatomy.modules.to_string()));
    rows.push(row(
        "memories",
        format!(
            "{}, {} at first",
            anatomy.memories,
            ByteSize(anatomy.memory_bytes)
        ),
    ));
    rows.push(row(
        "tables",
        format!(
            "{}, {} elements at first",
            anatomy.tables, anatomy.table_elements
        ),
    ));
    rows.extend(
        anatomy
            .producers
            .iter()
            .map(|(field, name, version)| row(field, format!("{name} {version}"))),
    );
    let mut text = columns(&rows);
    if let Some(schema) = &plugin.settings_schema {
        text += "settings, as JSON Schema:\n";
        for line in format!("{schema:#}").lines() {
            text += &plain(line);
            text.push('\n');
        }
    }
    text
}

/// An import, with the permission without which its calls are denied.
fn imported(import: &str) -> String {
    let interface = import.split('@').next().unwrap_or(import);
    let permission = match interface {
        "wasi:filesystem/preopens" => "files",
        "wasi:http/outgoing-handler" => "wasi-http",
        "wasi:sockets/tcp-create-socket" | "wasi:sockets/udp-create-socket" => "wasi-sockets",
        _ => return import.to_owned(),
    };
    format!("{import}, which needs permissions.{permission}")
}

fn wished(wish: &Wish) -> String {
    let optional = if wish.optional { " (optional)" } else { "" };
    let granted = if wish.granted {
        "granted"
    } else {
        "not granted"
    };
    format!("{} {}{optional}, {granted}", wish.capability, wish.scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> PluginInfo {
        PluginInfo {
            name: "own".to_owned(),
            api: None,
            roles: vec!["check".to_owned()],
            imports: Vec::new(),
            described: Some(("own".to_owned(), "0.1.0".to_owned(), String::new())),
            settings_schema: None,
            wishes: Vec::new(),
        }
    }

    fn rendered(plugin: &PluginInfo) -> String {
        render(&Inspected {
            plugin,
            anatomy: Anatomy {
                modules: 2,
                memories: 1,
                memory_bytes: 1 << 20,
                tables: 1,
                table_elements: 7,
                producers: vec![("language".into(), "Rust".into(), "2024".into())],
            },
            sha256: "00".to_owned(),
            size: 1024,
            compile_us: None,
        })
    }

    #[test]
    fn a_summary_is_shown_when_there_is_one() {
        let mut plugin = plugin();
        assert!(!rendered(&plugin).contains("summary"));
        plugin.described = Some(("own".to_owned(), "0.1.0".to_owned(), "Looks".to_owned()));
        let text = rendered(&plugin);
        assert!(text.contains("summary   Looks\n"), "{text}");
        assert!(text.contains("memories  1, 1.0 MiB at first\n"), "{text}");
        assert!(text.contains("language  Rust 2024\n"), "{text}");
    }

    #[test]
    fn a_wish_that_is_not_granted_has_its_line_below() {
        let plugin = PluginInfo {
            wishes: vec![Wish {
                capability: "process".to_owned(),
                scope: "nginx".to_owned(),
                optional: true,
                granted: false,
                line: Some("permissions.process = { names = [\"nginx\"] }".to_owned()),
            }],
            ..plugin()
        };
        let text = rendered(&plugin);
        let expected = "wishes    process nginx (optional), not granted\n          this would grant it: permissions";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn an_import_of_wasi_that_is_denied_by_default_names_its_permission() {
        assert_eq!(
            imported("wasi:http/outgoing-handler@0.2.4"),
            "wasi:http/outgoing-handler@0.2.4, which needs permissions.wasi-http"
        );
        assert_eq!(imported("wasi:io/poll@0.2.4"), "wasi:io/poll@0.2.4");
    }
}
