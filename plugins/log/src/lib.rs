//! The stock hook `log`: each event as one line in the daemon's log, under the plugin's name.

use mainstay_plugin::log::Level;
use mainstay_plugin::prelude::*;

mod line;

/// How the lines are written.
#[settings]
struct Settings {
    /// The level of the lines.
    #[serde(default)]
    level: Severity,
}

/// Levels that are seen by default in most set-ups, and `debug`.
#[settings]
#[derive(Clone, Copy, Default)]
enum Severity {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

impl From<Severity> for Level {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Debug => Self::Debug,
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warn,
            Severity::Error => Self::Error,
        }
    }
}

struct Line;

impl Hook for Line {
    type Settings = Settings;

    fn on_event(settings: Settings, event: &Event) -> Result<()> {
        log::write(
            settings.level.into(),
            &line::text(event),
            &line::fields(event),
        );
        Ok(())
    }
}

mainstay_plugin::hook!(Line);

#[cfg(test)]
mod tests {
    use mainstay_plugin::hook::Export;
    use mainstay_plugin::lifecycle::Guest;
    use serde_json::json;

    use super::*;

    #[test]
    fn schema_and_validation_agree() {
        let schema = Export::<Line>::describe()
            .settings_schema
            .expect("a schema");
        let schema = serde_json::from_str(&schema).expect("a schema is JSON");
        for (settings, good) in [
            (json!({}), true),
            (json!({ "level": "warn" }), true),
            (json!({ "level": "loud" }), false),
            (json!({ "file": "/var/log/vrrp" }), false),
        ] {
            assert_eq!(jsonschema::is_valid(&schema, &settings), good, "{settings}");
            assert_eq!(
                Export::<Line>::validate(settings.to_string()).is_ok(),
                good,
                "{settings}"
            );
        }
    }
}
