//! `mainstay plugin inspect`: what a plugin is, imports and would like to be granted.

use std::path::Path;
use std::process::ExitCode;

use bytesize::ByteSize;
use mainstay_protocol::{PluginInfo, Wish};

use super::text::columns;
use super::{Failure, load_of, print, print_json, refused};
use crate::exit;
use crate::worker::{Source, load_once};

/// Prints what is known of a component.
pub(crate) fn inspect(worker: &Source, file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let load = load_of(file);
    let plugins = load_once(worker, &load).map_err(|error| refused(error, file))?;
    let Some(plugin) = plugins.first() else {
        return Err(Failure::new(
            exit::UNAVAILABLE,
            "the plugin worker told nothing of the plugin",
        ));
    };
    if json {
        return print_json(plugin);
    }
    print(&render(plugin))
}

fn render(plugin: &PluginInfo) -> String {
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
    rows.push(row("sha256", plugin.sha256.clone()));
    rows.push(row("size", ByteSize(plugin.size).to_string()));
    rows.push(row(
        "compiled in",
        format!("{:.1} ms", plugin.compile_us as f64 / 1000.0),
    ));
    rows.extend(
        plugin
            .imports
            .iter()
            .map(|import| row("imports", import.clone())),
    );
    rows.extend(plugin.wishes.iter().map(|wish| row("wishes", wished(wish))));
    let mut text = columns(&rows);
    if let Some(schema) = &plugin.settings_schema {
        text += &format!("settings, as JSON Schema:\n{schema:#}\n");
    }
    text
}

fn wished(wish: &Wish) -> String {
    let optional = if wish.optional { " (optional)" } else { "" };
    format!("{} {}{optional}", wish.capability, wish.scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_shown_when_there_is_one() {
        let mut plugin = PluginInfo {
            name: "own".to_owned(),
            sha256: "00".to_owned(),
            size: 1024,
            api: None,
            roles: vec!["check".to_owned()],
            imports: Vec::new(),
            described: Some(("own".to_owned(), "0.1.0".to_owned(), String::new())),
            settings_schema: None,
            wishes: Vec::new(),
            compile_us: 0,
        };
        assert!(!render(&plugin).contains("summary"));
        plugin.described = Some(("own".to_owned(), "0.1.0".to_owned(), "Looks".to_owned()));
        assert!(render(&plugin).contains("summary      Looks\n"));
    }
}
