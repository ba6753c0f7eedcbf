//! A plugin's JSON Schema, and settings checked against it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use mainstay_protocol::{UNKNOWN_KEY, help_for_unknown_key};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The largest schema, in bytes.
const LIMIT: usize = 64 << 10;
/// The largest compiled pattern of a schema, in bytes.
const PATTERN: usize = 1 << 20;
/// Time to read a schema, or to check one table of settings.
const BUDGET: Duration = Duration::from_secs(1);
/// Faults listed for one settings table; a wrong schema could make thousands.
const FAULTS: usize = 20;

/// A schema ready to check settings with.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The schema as the plugin gave it.
    pub(crate) document: Value,
    validator: Validator,
    /// Why a check came to no end, as the next one would not.
    endless: OnceLock<String>,
}

impl Schema {
    /// [`Self::new`], within [`BUDGET`] and on a thread of its own.
    ///
    /// # Errors
    /// As [`Self::new`], and when it takes longer.
    pub(crate) async fn read(text: String) -> Result<Arc<Self>, String> {
        timely(move || Self::new(&text).map(Arc::new)).await?
    }

    /// Everything that is wrong with these settings, found within [`BUDGET`] and on a thread of its
    /// own: references within a schema can make a check of it take years.
    ///
    /// # Errors
    /// When it takes longer, or did before.
    pub(crate) async fn check(
        self: Arc<Self>,
        settings: Value,
    ) -> Result<Vec<SchemaFault>, String> {
        if let Some(why) = self.endless.get() {
            return Err(why.clone());
        }
        let schema = self.clone();
        let faults = timely(move || schema.faults(&settings)).await;
        faults.map_err(|why| self.endless.get_or_init(|| why).clone())
    }

    /// Reads a schema (draft 2020-12). References outside it are not followed: nothing here goes
    /// to the network or to a file. Patterns match in linear time.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn new(text: &str) -> Result<Self, String> {
        if text.len() > LIMIT {
            return Err(format!("it is longer than {LIMIT} bytes"));
        }
        let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN))
            .build(&document)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            document,
            validator,
            endless: OnceLock::new(),
        })
    }

    fn faults(&self, settings: &Value) -> Vec<SchemaFault> {
        self.validator
            .iter_errors(settings)
            .flat_map(|error| self.explain(&error))
            .take(FAULTS)
            .collect()
    }

    /// Keys in the words of the configuration, each at its own place; the rest in the library's.
    fn explain(&self, error: &ValidationError<'_>) -> Vec<SchemaFault> {
        let at = error.instance_path().to_string();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.keys_beside(error.schema_path().as_str());
                let unknown = unexpected.iter().map(|key| SchemaFault {
                    pointer: format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    message: UNKNOWN_KEY.to_owned(),
                    help: Some(help_for_unknown_key(key, &known)),
                });
                unknown.collect()
            }
            ValidationErrorKind::Required { property } => vec![SchemaFault {
                pointer: at,
                message: format!("the key {property} is missing"),
                help: None,
            }],
            _ => vec![SchemaFault {
                pointer: at,
                message: error.to_string(),
                help: None,
            }],
        }
    }

    /// The properties of the part of the schema that has the keyword at this place.
    fn keys_beside(&self, keyword: &str) -> Vec<&str> {
        let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.document
            .pointer(parent)
            .and_then(|part| part.get("properties")?.as_object())
            .map_or_else(Vec::new, |keys| keys.keys().map(String::as_str).collect())
    }
}

/// Something that does not fit a schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SchemaFault {
    /// JSON Pointer into the settings.
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do, when that is known.
    pub(crate) help: Option<String>,
}

/// A thread that takes longer is left behind. It ends with the worker, which serves nothing then.
async fn timely<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match timeout(BUDGET, spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err("the validator failed on it".to_owned()),
        Err(_) => Err(format!("it takes longer than {} s", BUDGET.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_checked_and_every_fault_has_its_place() {
        let schema = Schema::new(
            r#"{"type":"object","required":["name"],"additionalProperties":false,
                "properties":{"name":{"type":"string"},"min":{"type":"integer","minimum":1}}}"#,
        )
        .unwrap();
        assert!(
            schema
                .faults(&json!({"name": "nginx", "min": 1}))
                .is_empty()
        );
        let mut faults = schema.faults(&json!({"name": 1, "min": 0, "mni": 1, "a/b": 1}));
        faults.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        let said: Vec<_> = faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.help.as_deref()))
            .collect();
        let expected = [
            ("/a~1b", Some("what can stand here: min, name")),
            ("/min", None),
            ("/mni", Some("did you mean \"min\"?")),
            ("/name", None),
        ];
        assert_eq!(said, expected);
        let missing = schema.faults(&json!({}));
        assert_eq!(missing[0].pointer, "");
        assert_eq!(missing[0].message, "the key \"name\" is missing");
    }

    #[test]
    fn an_unknown_key_deep_down_has_its_place_and_its_neighbours() {
        let schema = Schema::new(
            r##"{"type":"object","properties":{"servers":{"type":"array","items":{"$ref":"#/$defs/server"}}},
                "$defs":{"server":{"type":"object","additionalProperties":false,"properties":{"port":{}}}}}"##,
        )
        .unwrap();
        let faults = schema.faults(&json!({"servers": [{"port": 1}, {"prot": 2}]}));
        let expected = SchemaFault {
            pointer: "/servers/1/prot".to_owned(),
            message: UNKNOWN_KEY.to_owned(),
            help: Some("did you mean \"port\"?".to_owned()),
        };
        assert_eq!(faults, [expected]);
    }

    #[test]
    fn what_is_not_a_schema_is_refused() {
        for text in [
            "",
            "{",
            r#"{"type":7}"#,
            r#"{"pattern":"("}"#,
            &" ".repeat(LIMIT + 1),
        ] {
            assert!(Schema::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn references_outside_the_schema_are_not_followed() {
        for reference in ["https://example.com/schema.json", "file:///etc/passwd"] {
            let text = json!({ "$ref": reference }).to_string();
            assert!(Schema::new(&text).is_err(), "{reference}");
        }
    }
}
