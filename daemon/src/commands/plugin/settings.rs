//! How to give a plugin its settings on the command line, from their schema.

use mainstay_protocol::{Load, Subject};
use serde_json::{Map, Value, json};

use crate::worker::{LoadError, Source, load_once};

/// A line that says so, when it is the settings that are wrong.
pub(super) fn advice(worker: &Source, load: &Load, error: &LoadError) -> Option<String> {
    let LoadError::Faults(faults) = error else {
        return None;
    };
    if faults.iter().any(|fault| fault.subject == Subject::Load) {
        return None;
    }
    let without_settings = Load {
        checks: Vec::new(),
        ..load.clone()
    };
    let plugins = load_once(worker, &without_settings).ok()?;
    let schema = plugins.first()?.settings_schema.as_ref()?;
    Some(super::text::plain(&usage(schema)))
}

fn usage(schema: &Value) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    let example: Map<String, Value> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|key| {
            let property = properties.and_then(|properties| properties.get(key));
            (key.to_owned(), property.map_or_else(|| json!("…"), sample))
        })
        .collect();
    let keys: Vec<&str> = properties
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .collect();
    let form = if example.is_empty() {
        "{\"KEY\":VALUE}".to_owned()
    } else {
        Value::Object(example).to_string()
    };
    match keys.is_empty() {
        true => "mainstay: the plugin has no settings".to_owned(),
        false => format!(
            "mainstay: give the settings as --settings '{form}'; keys: {}",
            keys.join(", ")
        ),
    }
}

/// A value of the right type.
fn sample(property: &Value) -> Value {
    match property.get("type").and_then(Value::as_str) {
        Some("integer" | "number") => property.get("minimum").cloned().unwrap_or_else(|| json!(1)),
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
            "mainstay: give the settings as --settings '{\"name\":\"…\",\"port\":5}'; keys: name, port, slow"
        );
        let optional = json!({"properties": {"name": {}}});
        assert_eq!(
            usage(&optional),
            "mainstay: give the settings as --settings '{\"KEY\":VALUE}'; keys: name"
        );
        assert_eq!(usage(&json!({})), "mainstay: the plugin has no settings");
    }
}
