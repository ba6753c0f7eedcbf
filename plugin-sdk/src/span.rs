//! Durations in settings.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A duration as the configuration writes it, with its unit: `"500ms"`, `"2s"`, `"1min 30s"`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        match humantime::parse_duration(&text) {
            Ok(duration) => Ok(Self(duration)),
            Err(_) => Err(D::Error::custom(format!(
                "{text:?} is not a duration such as \"500ms\" or \"2s\""
            ))),
        }
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["500ms", "2s", "1min 30s"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_unit() {
        let span: Span = serde_json::from_str(r#""500ms""#).expect("a duration");
        assert_eq!(span, Span(Duration::from_millis(500)));
        let error = serde_json::from_str::<Span>(r#""500""#).expect_err("no unit");
        assert!(
            error
                .to_string()
                .starts_with(r#""500" is not a duration such as "500ms" or "2s""#),
            "{error}"
        );
        assert!(serde_json::from_str::<Span>("500").is_err());
    }
}
