//! `[plugins]` and `[[plugin]]`: which components there are, and what they may do and use.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use mainstay_protocol::{Grants, Limits, SECRETS_LIMIT, Secret};

use super::Options;
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
    /// Features of the contract that plugins may use although they are not stable.
    pub(super) unstable: Vec<String>,
}

/// The one feature of the contract that is not stable yet.
const UNITS: &str = "service-manager";

impl Default for PluginsTable {
    fn default() -> Self {
        Self {
            directory: None,
            require_sha256: false,
            max_concurrent_runs: 4,
            unstable: Vec::new(),
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
            unstable: table.take_list("unstable", |value| {
                let feature = value.one_of(&[(UNITS, UNITS)]);
                feature.map(str::to_owned)
            }),
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
    /// The secrets among that.
    pub(super) secrets: Vec<Secret>,
    /// What it may use.
    pub(super) limits: Limits,
    /// The longest run.
    pub(super) timeout: Option<Duration>,
}

/// Reads all `[[plugin]]` tables.
pub(super) fn read_all<'a>(tables: Vec<Table<'a>>, options: &Options) -> Vec<Declared<'a>> {
    let mut names = Unique::default();
    let mut room = SECRETS_LIMIT;
    let tables = tables.into_iter();
    let plugins = tables.filter_map(|table| read(table, &mut names, options));
    plugins
        .inspect(|plugin| {
            let secrets = plugin.secrets.iter();
            let size: usize = secrets.map(|secret| secret.value.reveal().len()).sum();
            match room.checked_sub(size) {
                Some(rest) => room = rest,
                None => plugin.spot.error(
                    format!("all secrets together are over {} KiB", SECRETS_LIMIT >> 10),
                    None,
                ),
            }
        })
        .collect()
}

fn read<'a>(
    mut table: Table<'a>,
    names: &mut Unique<String>,
    options: &Options,
) -> Option<Declared<'a>> {
    let name = table.require("name", "\"replica-lag\"");
    let file = table.take("file");
    let sha256 = table.take("sha256").and_then(|value| digest::read(&value));
    let limits = table.take_table("limits");
    let permissions = table.take_table("permissions");
    table.finish();

    let granted = permissions.map(|table| grants::read(table, options));
    let (grants, secrets) = granted.unzip();
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
        secrets: secrets.unwrap_or_default(),
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
