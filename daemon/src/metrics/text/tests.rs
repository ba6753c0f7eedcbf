use std::collections::{BTreeMap, BTreeSet};

use mainstay_protocol::{Load, Metric, Outcomes, PluginSpec, Subject, Usage};

use super::super::totals::Totals;
use super::*;
use crate::code::Codes;
use crate::worker::ServedPlugin;

/// One sample: name with labels, and value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads a text as strictly as OpenMetrics 1.0 has it, as far as this text goes: metadata before the
/// samples of a family, families in one piece, suffixes by type, no series twice, buckets that grow.
fn parse(text: &str) -> Vec<Sample> {
    let body = text.strip_suffix("# EOF\n").expect("no end");
    let mut samples: Vec<Sample> = Vec::new();
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("help without text");
            assert!(!help.is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            family = name.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, type_) = rest.split_once(' ').expect("no type");
            assert_eq!(name, family);
            kind = type_.to_owned();
            continue;
        }
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("no value"));
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit()),
            "{name}"
        );
        let suffix = name
            .strip_prefix(&family)
            .unwrap_or_else(|| panic!("{line} in {family}"));
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_sum", "_count", "_bucket"],
            other => panic!("type {other}"),
        };
        assert!(suffixes.contains(&suffix), "{line}: {kind}");
        let (labels, value) = labels(rest);
        let value: f64 = value
            .trim_start()
            .parse()
            .unwrap_or_else(|_| panic!("{line}"));
        assert!(value.is_finite(), "{line}");
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert!(
            series.insert((name.to_owned(), labels.clone())),
            "{line} is there twice"
        );
        if suffix == "_bucket"
            && let Some((before, others, count)) = samples.last()
            && before == name
            && without_bound(others) == without_bound(&labels)
        {
            assert!(*count <= value, "{line}");
        }
        samples.push((name.to_owned(), labels, value));
    }
    samples
}

fn without_bound(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    labels.remove("le");
    labels
}

/// The labels and what follows them.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return (labels, text);
    };
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return (labels, rest);
        }
        let (key, after) = rest.split_once("=\"").expect("no label");
        assert!(
            key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{key}"
        );
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("no end of a label") {
                (end, '"') => break end,
                (_, '\\') => match characters.next().expect("no end of an escape").1 {
                    'n' => value.push('\n'),
                    c @ ('"' | '\\') => value.push(c),
                    c => panic!("escape {c}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(
            labels.insert(key.to_owned(), value).is_none(),
            "{key} twice"
        );
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn metric(name: &str, counter: bool, value: f64) -> Metric {
    Metric {
        name: name.to_owned(),
        counter,
        value,
        labels: Vec::new(),
    }
}

fn load() -> Load {
    let mut load = super::super::totals::load_for_tests(&["a", "b"]);
    load.plugins.push(PluginSpec {
        name: "p@b".to_owned(),
        ..load.plugins[0].clone()
    });
    load.checks[1].plugin = "p@b".to_owned();
    load
}

fn snapshot(totals: &Totals) -> Snapshot {
    let served = ServedPlugin {
        version: Some("1.0 \"quoted\\\"\n".to_owned()),
        ..ServedPlugin::default()
    };
    Snapshot {
        engine: Status::default(),
        worker: WorkerStatus {
            plugins: [("p".to_owned(), served)].into(),
            restarts: 3,
            ..WorkerStatus::default()
        },
        counters: totals.counters(),
    }
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: BTreeMap<String, String> = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let mut found = samples
        .iter()
        .filter(|sample| sample.0 == name && sample.1 == labels);
    found.next().map(|sample| sample.2)
}

#[test]
fn what_was_counted_is_in_a_text_that_a_strict_reader_takes() {
    let totals = Totals::default();
    totals.serve(&load(), &Codes::default());
    let mut run = Times::default();
    for took in [5, 50, 5_000_000] {
        run.add(took);
    }
    totals.add(Usage {
        subject: Subject::Check("b".to_owned()),
        outcomes: Outcomes {
            ok: 2,
            trap: 1,
            ..Outcomes::default()
        },
        run: run.clone(),
        instantiate: run.clone(),
        memory_peak: 4096,
        overruns: 7,
        host_calls: vec![("process".to_owned(), 3)],
        call_times: vec![("process".to_owned(), run)],
        denied: vec![("probe".to_owned(), 1)],
    });
    totals.log_dropped("p", 9);
    let samples = parse(&text(snapshot(&totals)));
    let b = [("plugin", "p"), ("instance", "b")];
    let of = |name, more: &[(&str, &str)]| value(&samples, name, &[&b, more].concat());
    assert_eq!(of("plugin_runs_total", &[("outcome", "ok")]), Some(2.0));
    assert_eq!(of("plugin_runs_total", &[("outcome", "trap")]), Some(1.0));
    assert_eq!(of("plugin_runs_total", &[("outcome", "denied")]), Some(0.0));
    assert_eq!(
        of("plugin_run_seconds_bucket", &[("le", "0.0001")]),
        Some(2.0)
    );
    assert_eq!(
        of("plugin_run_seconds_bucket", &[("le", "+Inf")]),
        Some(3.0)
    );
    assert_eq!(of("plugin_run_seconds_count", &[]), Some(3.0));
    assert_eq!(of("plugin_run_seconds_sum", &[]), Some(5.000_055));
    assert_eq!(of("plugin_instantiate_seconds_count", &[]), Some(3.0));
    assert_eq!(of("plugin_memory_peak_bytes", &[]), Some(4096.0));
    assert_eq!(of("plugin_overruns_total", &[]), Some(7.0));
    assert_eq!(
        of("plugin_host_calls_total", &[("interface", "process")]),
        Some(3.0)
    );
    assert_eq!(
        of(
            "plugin_host_call_seconds_count",
            &[("interface", "process")]
        ),
        Some(3.0)
    );
    assert_eq!(
        of("plugin_denied_total", &[("capability", "probe")]),
        Some(1.0)
    );
    let p = [("plugin", "p"), ("instance", "p")];
    assert_eq!(value(&samples, "plugin_log_dropped_total", &p), Some(9.0));
    let limit = value(&samples, "plugin_memory_limit_bytes", &p);
    assert_eq!(limit, Some((64 << 20) as f64));
    assert_eq!(
        value(&samples, "plugin_worker_restarts_total", &[]),
        Some(3.0)
    );
    let info = samples
        .iter()
        .find(|sample| sample.0 == "plugin_info")
        .unwrap();
    assert_eq!(info.1["version"], "1.0 \"quoted\\\"\n");
}

#[test]
fn a_worker_that_counts_nonsense_leaves_a_text_all_the_same() {
    let totals = Totals::default();
    totals.serve(&load(), &Codes::default());
    for _ in 0..3 {
        let run = Times {
            counts: [u64::MAX; TIME_BOUNDS_US.len() + 1],
            sum_us: u64::MAX,
        };
        totals.add(Usage {
            subject: Subject::Check("a".to_owned()),
            outcomes: Outcomes {
                ok: u64::MAX,
                ..Outcomes::default()
            },
            run: run.clone(),
            instantiate: run.clone(),
            memory_peak: u64::MAX,
            overruns: u64::MAX,
            host_calls: vec![("x\"} 1\n".to_owned(), 1)],
            call_times: vec![("x\"} 1\n".to_owned(), run.clone()), ("y".to_owned(), run)],
            denied: vec![("y".to_owned(), u64::MAX)],
        });
    }
    parse(&text(snapshot(&totals)));
}

#[test]
fn metrics_of_plugins_keep_to_their_names_and_say_whose_they_are() {
    let totals = Totals::default();
    totals.serve(&load(), &Codes::default());
    let forged = [
        ("plugin", "other"),
        ("Bad", "x"),
        ("shard.no", "a\"b"),
        ("7", "x"),
    ];
    let mut lag = metric("lag.ms", false, 12.5);
    lag.labels = forged
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    totals.report(
        "a",
        &[
            lag,
            metric("seen", true, 3.0),
            metric("seen", true, 4.0),
            metric("seen_total", false, 4.0),
            metric("below", true, -1.0),
            metric("Upper", false, 1.0),
            metric("", false, 1.0),
            metric("_total", true, 1.0),
            metric("nan", false, f64::NAN),
            metric("in\nject 1", false, 1.0),
        ],
    );
    totals.report("b", &[metric("seen", false, -3.0)]);
    let samples = parse(&text(snapshot(&totals)));
    let names: BTreeSet<&str> = samples
        .iter()
        .map(|sample| sample.0.as_str())
        .filter(|name| name.starts_with("mainstay_plugin_"))
        .collect();
    let expected = [
        "mainstay_plugin_below",
        "mainstay_plugin_lag_ms",
        "mainstay_plugin_seen",
    ];
    assert_eq!(names, expected.into());
    let a = [("plugin", "p"), ("instance", "a")];
    let lag = [&a[..], &[("shard_no", "a\"b")]].concat();
    assert_eq!(value(&samples, "mainstay_plugin_lag_ms", &lag), Some(12.5));
    // Two disagree whether it only grows.
    assert_eq!(value(&samples, "mainstay_plugin_seen", &a), Some(3.0));
    let b = [("plugin", "p"), ("instance", "b")];
    assert_eq!(value(&samples, "mainstay_plugin_seen", &b), Some(-3.0));
}
