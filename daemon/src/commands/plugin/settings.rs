//! How to give a plugin its settings on the command line, from their schema.

use std::sync::Arc;

use mainstay_protocol::Subject;
use serde_json::{Map, Value, json};

use crate::code::Plan;
use crate::worker::{LoadError, Source, load_once};

/// A line that says so, when it is the settings that are wrong.
pub(super) fn advice(worker: &Source, plan: &Plan, error: &LoadError) -> Option<String> {
    let LoadError::Faults(faults) = error else {
        return None;
    };
    if faults.iter().any(|fault| fault.subject == Subject::Load) {
        return None;
    }
    let mut without_settings = plan.clone();
    Arc::make_mut(&mut without_settings.load).checks.clear();
    let loaded = load_once(worker, &without_settings).ok()?;
    let schema = loaded.plugins.first()?.settings_schema.as_ref()?;
    Some(super::text::plain(&usage(schema)))
}

fn usage(schema: &Value) -> String {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.unwrap_or(&none);
    let Some(first) = properties.keys().next() else {
        return "mainstay: the plugin has no settings".to_owned();
    };
    let required = schema.get("required").and_then(Value::as_array);
    let mut shown: Vec<&str> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if shown.is_empty() {
        shown.push(first);
    }
    let example: Map<String, Value> = shown
        .into_iter()
        .map(|key| (key.to_owned(), sample(properties.get(key))))
        .collect();
    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    format!(
        "mainstay: settings are given like --settings '{}'; there are: {}",
        Value::Object(example),
        keys.join(", ")
    )
}

/// A value of the right type.
fn sample(property: Option<&Value>) -> Value {
    let part = |name: &str| property.and_then(|property| property.get(name));
    match part("type").and_then(Value::as_str) {
        Some("integer" | "number") => part("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_required_keys_are_shown_with_values_of_their_type() {
        let schema = json!({
            "required": ["name", "port"],
            "properties": { "name": {"type": "string"}, "port": {"type": "integer", "minimum": 5}, "slow": {} },
        });
        assert_eq!(
            usage(&schema),
            "mainstay: settings are given like --settings '{\"name\":\"…\",\"port\":5}'; there are: name, port, slow"
        );
        let optional = json!({"properties": {"name": {}}});
        assert_eq!(
            usage(&optional),
            "mainstay: settings are given like --settings '{\"name\":\"…\"}'; there are: name"
        );
        assert_eq!(usage(&json!({})), "mainstay: the plugin has no settings");
    }
}
