//! Each kind of change is refused, each kind of addition accepted.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use wit_parser::SourceMap;

use super::Contract;

type Files = BTreeMap<String, String>;

fn frozen() -> Files {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/0.1.0");
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|end| end == "wit"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn contract(files: &Files) -> Contract {
    let mut sources = SourceMap::new();
    for (name, text) in files {
        sources.push_str(name, text);
    }
    Contract::of(sources)
}

/// The files as the next version, with replacements in one of them.
fn next(file: &str, replacements: &[(&str, &str)]) -> Files {
    let mut files = frozen();
    for text in files.values_mut() {
        *text = text.replace("mainstay:plugin@0.1.0", "mainstay:plugin@0.1.1");
    }
    let text = files.get_mut(file).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "{file} has no {from:?}");
        *text = text.replacen(from, to, 1);
    }
    files
}

fn broken(file: &str, replacements: &[(&str, &str)]) -> Vec<String> {
    contract(&frozen()).broken_by(&contract(&next(file, replacements)))
}

#[test]
fn changes_are_refused() {
    for (what, file, from, to, said) in [
        (
            "a field more",
            "check.wit",
            "name: string,",
            "name: string, zone: string,",
            "record request was",
        ),
        (
            "a field less",
            "check.wit",
            "sequence: u64,",
            "",
            "record request was",
        ),
        (
            "another type of a field",
            "check.wit",
            "deadline-ms: u32",
            "deadline-ms: u64",
            "record request was",
        ),
        (
            "another name of a field",
            "common.wit",
            "port: u16",
            "number: u16",
            "record endpoint was",
        ),
        (
            "fields in another order",
            "common.wit",
            "key: string,\n        value: string,",
            "value: string,\n        key: string,",
            "record attribute was",
        ),
        (
            "a case more of a variant",
            "common.wit",
            "timeout,",
            "timeout, busy,",
            "variant plugin-error was",
        ),
        (
            "a case less of a variant",
            "check.wit",
            "node,",
            "",
            "variant target was",
        ),
        (
            "a case with another value",
            "check.wit",
            "set(u32)",
            "set(u64)",
            "variant weight-change was",
        ),
        (
            "a case more of an enum",
            "common.wit",
            "stopped,",
            "stopped, paused,",
            "enum router-state was",
        ),
        (
            "cases in another order",
            "common.wit",
            "ipv4,\n        ipv6,",
            "ipv6,\n        ipv4,",
            "enum family was",
        ),
        (
            "a type that is gone",
            "lifecycle.wit",
            "record problem",
            "record trouble",
            "record problem is gone",
        ),
        (
            "another kind of type",
            "common.wit",
            "enum metric-kind",
            "flags metric-kind",
            "enum metric-kind is gone",
        ),
        (
            "a parameter more",
            "host.wit",
            "count: func(selector: selector)",
            "count: func(selector: selector, limit: u32)",
            "function count was",
        ),
        (
            "another result",
            "host.wit",
            "remaining-ms: func() -> u32",
            "remaining-ms: func() -> u64",
            "function remaining-ms was",
        ),
        (
            "a function that is gone",
            "host.wit",
            "enabled: func(level: level) -> bool;",
            "",
            "function enabled is gone",
        ),
        (
            "a function that is asynchronous",
            "host.wit",
            "remaining-ms: func()",
            "remaining-ms: async func()",
            "function remaining-ms was",
        ),
        (
            "a method that is gone",
            "host.wit",
            "reveal: func() -> list<u8>;",
            "",
            "[method]secret.reveal is gone",
        ),
        (
            "an interface that is gone",
            "host.wit",
            "interface budget",
            "interface purse",
            "interface budget is gone",
        ),
        (
            "an interface that is no longer stable",
            "host.wit",
            "/// Always linked. Budget left for this run.\n@since(version = 0.1.0)",
            "@unstable(feature = purse)",
            "interface budget is gone",
        ),
        (
            "another export of a function",
            "hook.wit",
            "on-event: func(event: event) -> result<_, plugin-error>;",
            "on-event: func(event: event);",
            "function on-event was",
        ),
        (
            "a function more to export",
            "lifecycle.wit",
            "describe: func()",
            "@since(version = 0.1.1)\n    cost: func() -> u32;\n    describe: func()",
            "plugins export: function cost is new",
        ),
        (
            "a type more in an export",
            "hook.wit",
            "record other-event",
            "@since(version = 0.1.1)\n    type extra = string;\n    record other-event",
            "plugins export: type extra is new",
        ),
        (
            "an export more of a world",
            "world.wit",
            "export check;\n    export hook;",
            "export check;\n    export hook;\n    export probe;",
            "world full-plugin exports",
        ),
        (
            "an export less of a world",
            "world.wit",
            "export check;\n    export hook;",
            "export hook;",
            "world full-plugin exports",
        ),
        (
            "an import less",
            "world.wit",
            "import probe;",
            "",
            "world host no longer imports probe",
        ),
        (
            "a world that is gone",
            "world.wit",
            "world check-minimal",
            "world check-small",
            "world check-minimal is gone",
        ),
        (
            "a function without @since",
            "host.wit",
            "remaining-ms: func() -> u32;",
            "remaining-ms: func() -> u32;\n    runs: func() -> u32;",
            "function runs is new, without",
        ),
        (
            "a function since that version",
            "host.wit",
            "remaining-ms: func() -> u32;",
            "remaining-ms: func() -> u32;\n    @since(version = 0.1.0)\n    runs: func() -> u32;",
            "function runs is new, without",
        ),
        (
            "a type without @since",
            "host.wit",
            "enum run-state",
            "record limits { rss: u64 }\n    enum run-state",
            "record limits is new, without",
        ),
        (
            "an interface without @since",
            "host.wit",
            "/// Always linked. Budget",
            "interface clock { now: func() -> u64; }\n/// Always linked. Budget",
            "interface clock is new, without",
        ),
        (
            "a world without @since",
            "world.wit",
            "/// Notify hook.",
            "world tiny { import log; }\n/// Notify hook.",
            "world tiny is new, without",
        ),
        (
            "an import without @since",
            "world.wit",
            "import budget;\n    export check;",
            "import budget;\n    import process;\n    export check;",
            "world check-minimal imports process, without",
        ),
    ] {
        let mut files = next(file, &[(from, to)]);
        for text in files.values_mut() {
            // What is gone is not used either.
            match what {
                "a type that is gone" => *text = text.replace("list<problem>", "list<trouble>"),
                _ if said.contains("budget is gone") => *text = text.replace("import budget;", ""),
                _ => {}
            }
        }
        let broken = contract(&frozen()).broken_by(&contract(&files));
        assert!(
            broken.iter().any(|line| line.contains(said)),
            "{what}: {broken:?}"
        );
    }
}

#[test]
fn what_a_refusal_says_names_the_place_and_both_forms() {
    let broken = broken("common.wit", &[("port: u16", "port: u32")]);
    assert_eq!(
        broken,
        [
            "interface common: record endpoint was\n    record { address: string, port: u16 }\n  \
             and is\n    record { address: string, port: u32 }"
        ]
    );
}

#[test]
fn additions_to_what_guests_import_are_accepted() {
    for (what, file, from, to) in [
        (
            "nothing but a version",
            "host.wit",
            "interface log",
            "interface log",
        ),
        (
            "another comment",
            "common.wit",
            "/// Address of the thing",
            "/// The thing",
        ),
        (
            "a function",
            "host.wit",
            "remaining-ms: func() -> u32;",
            "remaining-ms: func() -> u32;\n    @since(version = 0.1.1)\n    runs: func() -> u32;",
        ),
        (
            "a method",
            "host.wit",
            "reveal: func() -> list<u8>;",
            "reveal: func() -> list<u8>;\n        @since(version = 0.1.1)\n        length: func() -> u32;",
        ),
        (
            "a type",
            "host.wit",
            "enum run-state",
            "@since(version = 0.1.1)\n    record limits { rss: u64 }\n    enum run-state",
        ),
        (
            "a type of all",
            "common.wit",
            "enum metric-kind",
            "@since(version = 0.1.1)\n    record limits { rss: u64 }\n    enum metric-kind",
        ),
        (
            "an interface",
            "host.wit",
            "/// Always linked. Budget",
            "@since(version = 0.1.1)\ninterface clock { now: func() -> u64; }\n/// Always linked. Budget",
        ),
        (
            "a world",
            "world.wit",
            "/// Notify hook.",
            "@since(version = 0.1.1)\nworld tiny { import log; }\n/// Notify hook.",
        ),
        (
            "an import",
            "world.wit",
            "import budget;\n    export check;",
            "import budget;\n    @since(version = 0.1.1)\n    import process;\n    export check;",
        ),
        (
            "another form of what is not stable",
            "host.wit",
            "active-state: func(unit: string)",
            "active-state: func(unit: string, user: bool)",
        ),
        (
            "a function that is not stable",
            "host.wit",
            "remaining-ms: func() -> u32;",
            "remaining-ms: func() -> u32;\n    @unstable(feature = runs)\n    runs: func() -> u32;",
        ),
    ] {
        assert_eq!(broken(file, &[(from, to)]), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn another_series_or_an_earlier_version_is_refused() {
    let with = |version: &str| {
        let mut files = frozen();
        for text in files.values_mut() {
            *text = text
                .replace(
                    "mainstay:plugin@0.1.0",
                    &format!("mainstay:plugin@{version}"),
                )
                .replace("version = 0.1.0", "version = 0.0.1");
        }
        contract(&files)
    };
    let frozen = contract(&frozen());
    assert_eq!(frozen.broken_by(&with("0.1.7")), Vec::<String>::new());
    assert_eq!(frozen.broken_by(&with("0.2.0")).len(), 1);
    assert_eq!(frozen.broken_by(&with("1.1.0")).len(), 1);
    assert_eq!(with("0.1.7").broken_by(&frozen).len(), 1);
}
