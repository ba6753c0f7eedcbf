//! What the macros export beside the role itself: the description and the validation of settings.

use mainstay_plugin::lifecycle::{Guest, Role};
use mainstay_plugin::prelude::*;
use mainstay_plugin::{check, hook};
use serde_json::{Value, json};

/// Whom to greet.
#[settings]
struct Settings {
    /// A person's name.
    first_name: String,
    #[serde(default)]
    how_often: u8,
}

struct Greeted;

impl Check for Greeted {
    type Settings = Settings;

    fn run(settings: Settings, request: &Request) -> Result<Report> {
        let runs = request.carry.as_ref().map_or(0, |carry| carry[0]) + 1;
        let report = Report::degraded(format!("{} greeted", settings.first_name));
        Ok(report
            .with_weight(WeightChange::Offset(-5))
            .with_carry([runs]))
    }

    fn validate(settings: &Settings) -> Vec<Problem> {
        match settings.how_often {
            0..=3 => Vec::new(),
            _ => vec![Problem::at("/how-often", "too often")],
        }
    }

    fn wishes() -> Vec<Wish> {
        vec![
            Wish::required("process", "nginx"),
            Wish::optional("probe", "127.0.0.1:80"),
        ]
    }
}

mainstay_plugin::check!(Greeted);

struct Deaf;

impl Hook for Deaf {
    type Settings = NoSettings;

    fn on_event(_: NoSettings, _: &Event) -> Result<()> {
        Err(PluginError::failed("deaf"))
    }
}

mainstay_plugin::hook!(Deaf);

type ExportedCheck = check::Export<Greeted>;
type ExportedHook = hook::Export<Deaf>;

fn request(settings: &str) -> Request {
    Request {
        name: "greeting".to_owned(),
        target: Target::Node,
        settings: settings.to_owned(),
        deadline_ms: 1000,
        sequence: 2,
        previous: Some(mainstay_plugin::check::Status::Healthy),
        carry: Some(vec![1]),
        attributes: Vec::new(),
    }
}

#[test]
fn the_package_describes_the_plugin() {
    let description = ExportedCheck::describe();
    assert_eq!(description.name, env!("CARGO_PKG_NAME"));
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(description.summary, env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(description.roles, [Role::Check]);
    assert_eq!(
        description
            .wishes
            .iter()
            .map(|wish| wish.optional)
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(ExportedHook::describe().roles, [Role::Hook]);
}

#[test]
fn the_schema_is_that_of_the_settings() {
    let schema = ExportedCheck::describe().settings_schema.expect("a schema");
    let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
    assert_eq!(schema["description"], "Whom to greet.");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["first-name"]));
    assert_eq!(
        schema["properties"]["first-name"]["description"],
        "A person's name."
    );
    assert_eq!(schema["properties"]["how-often"]["maximum"], 255);
}

#[test]
fn settings_are_validated_by_type_and_by_the_author() {
    let problems = |settings: Value| {
        let problems = ExportedCheck::validate(settings.to_string())
            .err()
            .unwrap_or_default();
        problems
            .into_iter()
            .map(|problem| problem.pointer)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        problems(json!({ "first-name": "Ada", "how-often": 3 })),
        Vec::<String>::new()
    );
    assert_eq!(
        problems(json!({ "first-name": "Ada", "how-often": 4 })),
        ["/how-often"]
    );
    assert_eq!(
        problems(json!({ "first-name": "Ada", "last-name": "King" })),
        ["/last-name"]
    );
    assert_eq!(problems(json!({ "first-name": 1 })), ["/first-name"]);
    assert!(ExportedHook::validate("{}".to_owned()).is_ok());
    assert!(ExportedHook::validate(r#"{"any": 1}"#.to_owned()).is_err());
}

#[test]
fn a_run_gets_its_settings() {
    use mainstay_plugin::bindings::check::exports::mainstay::plugin::check::Guest;

    let report = ExportedCheck::run(request(r#"{"first-name": "Ada"}"#)).expect("a report");
    assert_eq!(report.message, "Ada greeted");
    assert_eq!(report.weight, WeightChange::Offset(-5));
    assert_eq!(report.carry, Some(vec![2]));
}

#[test]
fn a_run_with_bad_settings_is_an_error() {
    use mainstay_plugin::bindings::check::exports::mainstay::plugin::check::Guest;

    let error = ExportedCheck::run(request("{}")).expect_err("settings are missing");
    assert_eq!(
        error,
        PluginError::InvalidSettings("missing field `first-name`".to_owned())
    );
    let error = ExportedCheck::run(request(r#"{"first-name": "Ada", "how-often": 9}"#))
        .expect_err("too often");
    assert_eq!(
        error,
        PluginError::InvalidSettings("/how-often: too often".to_owned())
    );
}
