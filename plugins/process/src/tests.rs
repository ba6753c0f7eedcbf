use mainstay_plugin::check::Export;
use mainstay_plugin::lifecycle::Guest;
use serde_json::{Value, json};

use super::*;

#[test]
fn healthy_from_the_minimum_on() {
    for (count, min, status, message) in [
        (0, 1, Status::Unhealthy, "not running: nginx"),
        (1, 1, Status::Healthy, "1 running"),
        (7, 1, Status::Healthy, "7 running"),
        (1, 2, Status::Unhealthy, "1 running, fewer than 2: nginx"),
        (2, 2, Status::Healthy, "2 running"),
    ] {
        let report = verdict(count, min, "nginx");
        assert_eq!((report.status, report.message.as_str()), (status, message));
        assert_eq!(
            (report.metrics[0].name.as_str(), report.metrics[0].value),
            ("count", f64::from(count))
        );
    }
}

/// Whether the schema takes the settings, and what the plugin itself says.
fn taken(settings: &Value) -> (bool, Result<(), Vec<Problem>>) {
    let schema = Export::<Running>::describe()
        .settings_schema
        .expect("a schema");
    let schema = serde_json::from_str(&schema).expect("a schema is JSON");
    (
        jsonschema::is_valid(&schema, settings),
        Export::<Running>::validate(settings.to_string()),
    )
}

#[test]
fn good_settings_pass_schema_and_validation() {
    for settings in [
        json!({ "name": "nginx" }),
        json!({ "name": "nginx", "min": 4 }),
        json!({ "command": "nginx" }),
        json!({ "pid-file": "/run/nginx.pid" }),
        json!({ "unit": "nginx.service", "min": 1 }),
    ] {
        assert_eq!(taken(&settings), (true, Ok(())), "{settings}");
    }
}

#[test]
fn bad_settings_are_refused_where_they_stand() {
    for (settings, pointer, message) in [
        (
            json!({}),
            "",
            "one of name, command, pid-file and unit is needed",
        ),
        (
            json!({ "name": "a", "unit": "b.service" }),
            "",
            "only one of name, command, pid-file and unit can be given",
        ),
        (json!({ "nam": "nginx" }), "/nam", "unknown field `nam`"),
        (json!({ "name": "" }), "/name", "is empty"),
        (
            json!({ "name": "sixteen bytes 16" }),
            "/name",
            "has 16 bytes",
        ),
        (
            json!({ "name": 5 }),
            "/name",
            "invalid type: integer `5`, expected a string",
        ),
        (json!({ "command": "" }), "/command", "is empty"),
        (
            json!({ "command": "/usr/sbin/nginx" }),
            "/command",
            "is a path",
        ),
        (
            json!({ "pid-file": "nginx.pid" }),
            "/pid-file",
            "is not an absolute path",
        ),
        (
            json!({ "unit": "nginx" }),
            "/unit",
            "lacks its suffix; is it nginx.service?",
        ),
        (json!({ "name": "nginx", "min": 0 }), "/min", "0 processes"),
        (
            json!({ "name": "nginx", "min": -1 }),
            "/min",
            "invalid value: integer `-1`, expected u32",
        ),
    ] {
        let problems = taken(&settings).1.expect_err("bad settings");
        assert_eq!(problems.len(), 1, "{settings}: {problems:?}");
        assert_eq!(problems[0].pointer, pointer, "{settings}");
        assert!(
            problems[0].message.starts_with(message),
            "{settings}: {problems:?}"
        );
    }
}

#[test]
fn the_schema_refuses_wrong_keys_types_and_ranges() {
    for settings in [
        json!({ "nam": "nginx" }),
        json!({ "name": 5 }),
        json!({ "name": "nginx", "min": 0 }),
        json!([]),
    ] {
        assert!(!taken(&settings).0, "{settings}");
    }
}
