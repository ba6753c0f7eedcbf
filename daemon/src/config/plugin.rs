//! `[plugins]` and `[[plugin]]`: which components there are, and what they may do and use.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use mainstay_protocol::{Grants, Limits};

use super::digest;
use super::grants;
use super::names::Unique;
use super::table::{Spot, Table};

/// `[plugins]`.
#[derive(Debug)]
pub(super) struct PluginsTable {
    /// Where a relative `file` is looked up first.
    pub(super) directory: Option<PathBuf>,
    /// Whether a plugin has to be pinned.
    pub(super) require_sha256: bool,
    /// Runs at the same time, at most.
    pub(super) max_concurrent_runs: u32,
}

impl Default for PluginsTable {
    fn default() -> Self {
        Self {
            directory: None,
            require_sha256: false,
            max_concurrent_runs: 4,
        }
    }
}

impl PluginsTable {
    /// Reads the table.
    pub(super) fn read(mut table: Table<'_>) -> Self {
        let default = Self::default();
        let read = Self {
            directory: table.take("directory").and_then(|value| value.path()),
            require_sha256: table
                .take("require-sha256")
                .and_then(|value| value.flag())
                .unwrap_or(default.require_sha256),
            max_concurrent_runs: table
                .take("max-concurrent-runs")
                .and_then(|value| value.number(1..=64))
                .unwrap_or(default.max_concurrent_runs),
        };
        table.finish();
        read
    }
}

/// A `[[plugin]]`.
pub(super) struct Declared<'a> {
    /// Its name.
    pub(super) name: String,
    /// Where its file is named, or else its name.
    pub(super) spot: Spot<'a>,
    /// The file as it is named; `None` when the name says it.
    pub(super) file: Option<String>,
    /// The digest that the file has to have.
    pub(super) sha256: Option<String>,
    /// What it may do; `None` without `permissions`.
    pub(super) grants: Option<Grants>,
    /// What it may use.
    pub(super) limits: Limits,
    /// The longest run.
    pub(super) timeout: Option<Duration>,
}

/// Reads all `[[plugin]]` tables.
pub(super) fn read_all<'a>(tables: Vec<Table<'a>>) -> Vec<Declared<'a>> {
    let mut names = Unique::default();
    tables
        .into_iter()
        .filter_map(|table| read(table, &mut names))
        .collect()
}

fn read<'a>(mut table: Table<'a>, names: &mut Unique<String>) -> Option<Declared<'a>> {
    let name = table.require("name", "\"replica-lag\"");
    let file = table.take("file");
    let sha256 = table.take("sha256").and_then(|value| digest::read(&value));
    let limits = table.take_table("limits");
    let permissions = table.take_table("permissions");
    table.finish();

    let grants = permissions.map(grants::read);
    let (limits, timeout) = limits.map_or_else(|| (Limits::default(), None), read_limits);
    let name_value = name?;
    let name = name_value.name()?.to_owned();
    names.claim(
        name.clone(),
        &name_value.spot,
        &format!("the plugin name \"{name}\""),
        "give each plugin a name of its own",
    );
    Some(Declared {
        name,
        spot: file
            .as_ref()
            .map_or(name_value.spot, |value| value.spot.clone()),
        file: file.and_then(|value| value.text().map(str::to_owned)),
        sha256,
        grants,
        limits,
        timeout,
    })
}

/// The smallest and the largest memory that one run may be given: Wasm memories are 32 bit wide.
const MEMORY: [ByteSize; 2] = [ByteSize::mib(1), ByteSize::gib(4)];

/// The shortest and the longest run of a check or hook that can be asked for.
pub(super) const TIMEOUT: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(300)];

fn read_limits(mut table: Table<'_>) -> (Limits, Option<Duration>) {
    let default = Limits::default();
    let timeout = table
        .take("timeout")
        .and_then(|value| value.duration(TIMEOUT[0]..=TIMEOUT[1]));
    let limits = Limits {
        memory: table
            .take("memory")
            .and_then(|value| value.size(MEMORY[0]..=MEMORY[1]))
            .unwrap_or(default.memory),
        log_lines_per_minute: table
            .take("log-lines-per-minute")
            .and_then(|value| value.number(0..=100_000))
            .unwrap_or(default.log_lines_per_minute),
    };
    table.finish();
    (limits, timeout)
}
