use mainstay_plugin::check::Export;
use mainstay_plugin::lifecycle::Guest;
use serde_json::{Value, json};

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Whether the schema takes the settings, and what the plugin itself says.
fn taken(settings: &Value) -> (bool, Result<(), Vec<Problem>>) {
    let schema = Export::<Connects>::describe()
        .settings_schema
        .expect("a schema");
    let schema = serde_json::from_str(&schema).expect("a schema is JSON");
    (
        jsonschema::is_valid(&schema, settings),
        Export::<Connects>::validate(settings.to_string()),
    )
}

fn unhealthy(error: probe::Error) -> String {
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    let report = verdict(target, Err(error)).expect("a verdict");
    assert_eq!(report.status, Status::Unhealthy);
    report.message
}

#[test]
fn a_connection_is_healthy_and_timed() {
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    let report = verdict(target, Ok(Duration::from_micros(1500))).expect("a verdict");
    assert_eq!(report.status, Status::Healthy);
    assert_eq!(report.message, "10.0.0.1:80 accepts connections, 1.5 ms");
    assert_eq!(
        (report.metrics[0].name.as_str(), report.metrics[0].value),
        ("connect_seconds", 0.0015)
    );
}

#[test]
fn what_the_peer_does_is_a_verdict() {
    assert_eq!(
        unhealthy(probe::Error::Refused),
        "10.0.0.1:80 refuses connections"
    );
    assert_eq!(
        unhealthy(probe::Error::TimedOut),
        "10.0.0.1:80 does not answer"
    );
    assert_eq!(
        unhealthy(probe::Error::Unreachable),
        "10.0.0.1:80 is unreachable"
    );
}

#[test]
fn a_probe_that_could_not_be_made_is_an_error() {
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    for error in [
        probe::Error::NotPermitted,
        probe::Error::TooMany,
        probe::Error::InvalidAddress,
        probe::Error::Other("no buffer space".to_owned()),
    ] {
        assert!(verdict(target, Err(error.clone())).is_err(), "{error:?}");
    }
}

#[test]
fn the_timeout_leaves_room_for_the_verdict() {
    assert_eq!(patience(None, 1000 * MILLISECOND), 900 * MILLISECOND);
    assert_eq!(
        patience(Some(Span(200 * MILLISECOND)), 1000 * MILLISECOND),
        200 * MILLISECOND
    );
    assert_eq!(
        patience(Some(Span(5000 * MILLISECOND)), 1000 * MILLISECOND),
        900 * MILLISECOND
    );
}

#[test]
fn good_settings_pass_schema_and_validation() {
    for settings in [
        json!({ "address": "10.0.0.1", "port": 80 }),
        json!({ "address": "2001:db8::1", "port": 65535, "timeout": "1s 500ms" }),
    ] {
        assert_eq!(taken(&settings), (true, Ok(())), "{settings}");
    }
}

#[test]
fn bad_settings_are_refused_where_they_stand() {
    for (settings, pointer, message) in [
        (json!({ "port": 80 }), "", "missing field `address`"),
        (
            json!({ "address": "10.0.0.1", "ports": [80] }),
            "/ports",
            "unknown field `ports`",
        ),
        (
            json!({ "address": "example.org", "port": 80 }),
            "/address",
            "\"example.org\" is not an IPv4 or IPv6 address",
        ),
        (
            json!({ "address": "10.0.0.0/24", "port": 80 }),
            "/address",
            "\"10.0.0.0/24\" is not",
        ),
        (
            json!({ "address": "10.0.0.1", "port": 0 }),
            "/port",
            "0 is not a port",
        ),
        (
            json!({ "address": "10.0.0.1", "port": 65536 }),
            "/port",
            "invalid value: integer `65536`, expected u16",
        ),
        (
            json!({ "address": "10.0.0.1", "port": 80, "timeout": "5" }),
            "/timeout",
            "\"5\" is not a duration",
        ),
        (
            json!({ "address": "10.0.0.1", "port": 80, "timeout": 5 }),
            "/timeout",
            "invalid type: integer `5`",
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
        json!({ "address": "10.0.0.1" }),
        json!({ "address": "10.0.0.1", "port": 0 }),
        json!({ "address": "10.0.0.1", "port": 65536 }),
        json!({ "address": "10.0.0.1", "port": 80, "timeout": 5 }),
        json!({ "address": "10.0.0.1", "port": 80, "source": "10.0.0.2" }),
    ] {
        assert!(!taken(&settings).0, "{settings}");
    }
}

#[test]
fn no_time_at_all_is_a_problem() {
    let settings = json!({ "address": "10.0.0.1", "port": 80, "timeout": "0s" });
    let problems = taken(&settings).1.expect_err("no time");
    assert_eq!(problems[0].pointer, "/timeout");
}
