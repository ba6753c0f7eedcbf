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
