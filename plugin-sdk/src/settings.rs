//! From the JSON form of a `settings` table to a plugin's own type, with problems that say where.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::{PluginError, Problem, Result};

/// For plugins without settings: an empty table.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Settings that are of their type and that `validate` finds nothing wrong with.
///
/// # Errors
///
/// The problems: one where the type does not fit, else all that `validate` names.
pub(crate) fn parse<S: DeserializeOwned>(
    json: &str,
    validate: fn(&S) -> Vec<Problem>,
) -> Result<S, Vec<Problem>> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| vec![Problem::at("", format!("not JSON: {error}"))])?;
    // From a `Value`, because the line and column of the JSON form mean nothing to who wrote the TOML.
    let settings: S = serde_path_to_error::deserialize(value).map_err(|error| {
        vec![Problem::at(
            pointer(error.path()),
            error.inner().to_string(),
        )]
    })?;
    let problems = validate(&settings);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}

/// The error of a run whose settings are wrong after all.
pub(crate) fn refusal(problems: &[Problem]) -> PluginError {
    let listed: Vec<_> = problems
        .iter()
        .map(|Problem { pointer, message }| match pointer.as_str() {
            "" => message.clone(),
            pointer => format!("{pointer}: {message}"),
        })
        .collect();
    PluginError::InvalidSettings(listed.join("; "))
}

/// RFC 6901.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => {
                // Writing to a String can't fail.
                let _ = write!(pointer, "{index}");
            }
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => {
                pointer.pop();
            }
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Server {
        #[serde(default)]
        ports: Vec<u16>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Settings {
        name: String,
        a_server: Option<Server>,
    }

    fn named(settings: &Settings) -> Vec<Problem> {
        if settings.name.is_empty() {
            return vec![Problem::at("/name", "is empty")];
        }
        Vec::new()
    }

    fn problem(json: &str) -> (String, String) {
        let mut problems = parse::<Settings>(json, named).expect_err("settings should be refused");
        assert_eq!(problems.len(), 1);
        let problem = problems.remove(0);
        (problem.pointer, problem.message)
    }

    #[test]
    fn accepts_what_fits() {
        let settings = parse::<Settings>(r#"{"name": "a", "a-server": {"ports": [80]}}"#, named);
        let expected = Settings {
            name: "a".to_owned(),
            a_server: Some(Server { ports: vec![80] }),
        };
        assert_eq!(settings.expect("the settings are good"), expected);
    }

    #[test]
    fn points_to_a_nested_value() {
        let (pointer, message) = problem(r#"{"name": "a", "a-server": {"ports": [80, 70000]}}"#);
        assert_eq!(pointer, "/a-server/ports/1");
        assert_eq!(message, "invalid value: integer `70000`, expected u16");
    }

    #[test]
    fn names_an_unknown_key_and_the_known_ones() {
        let (pointer, message) = problem(r#"{"nam": "a"}"#);
        assert_eq!(pointer, "/nam");
        assert_eq!(
            message,
            "unknown field `nam`, expected `name` or `a-server`"
        );
    }

    #[test]
    fn names_a_missing_key() {
        assert_eq!(
            problem("{}"),
            (String::new(), "missing field `name`".to_owned())
        );
    }

    #[test]
    fn passes_on_what_the_author_finds() {
        assert_eq!(
            problem(r#"{"name": ""}"#),
            ("/name".to_owned(), "is empty".to_owned())
        );
    }

    #[test]
    fn refuses_what_is_not_json() {
        let (pointer, message) = problem("{");
        assert_eq!(pointer, "");
        assert!(message.starts_with("not JSON: "), "{message}");
    }

    #[test]
    fn a_refusal_lists_every_problem() {
        let problems = [Problem::at("", "one"), Problem::at("/b", "two")];
        assert_eq!(
            refusal(&problems),
            PluginError::InvalidSettings("one; /b: two".to_owned())
        );
    }

    #[test]
    fn no_settings_are_an_empty_table() {
        assert!(parse::<NoSettings>("{}", |_| Vec::new()).is_ok());
        assert!(parse::<NoSettings>(r#"{"a": 1}"#, |_| Vec::new()).is_err());
    }
}
