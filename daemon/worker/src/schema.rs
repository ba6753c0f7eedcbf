//! A plugin's JSON Schema, and settings checked against it.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// The largest schema, in bytes.
const LIMIT: usize = 64 << 10;
/// The largest compiled pattern of a schema, in bytes.
const PATTERN: usize = 1 << 20;
/// Faults listed for one settings table; a wrong schema could make thousands.
const FAULTS: usize = 20;

/// A schema ready to check settings with.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The schema as the plugin gave it.
    pub(crate) document: Value,
    validator: Validator,
}

impl Schema {
    /// Reads a schema (draft 2020-12). References outside it are not followed: nothing here goes
    /// to the network or to a file. Patterns match in linear time.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
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
        })
    }

    /// Everything that is wrong with these settings: a JSON Pointer and a sentence.
    #[must_use]
    pub(crate) fn faults(&self, settings: &Value) -> Vec<(String, String)> {
        self.validator
            .iter_errors(settings)
            .take(FAULTS)
            .map(|error| (error.instance_path().to_string(), error.to_string()))
            .collect()
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
        let faults = schema.faults(&json!({"name": 1, "min": 0, "mni": 1}));
        let mut places: Vec<&str> = faults.iter().map(|(place, _)| place.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["", "/min", "/name"]);
        assert!(
            faults.iter().any(|(_, what)| what.contains("mni")),
            "{faults:?}"
        );
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
