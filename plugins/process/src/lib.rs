//! The stock check `process`: is something running, as `pgrep`, `pidof` or a pid file would tell.

use mainstay_plugin::prelude::*;

mod settings;

use settings::Settings;

struct Running;

impl Check for Running {
    type Settings = Settings;

    fn run(settings: Settings, _: &Request) -> Result<Report> {
        let selector = settings.selector().map_err(PluginError::InvalidSettings)?;
        let count = process::count(&selector)?;
        Ok(verdict(count, settings.min, settings::sought(&selector)))
    }

    fn validate(settings: &Settings) -> Vec<Problem> {
        settings.problems()
    }

    fn wishes() -> Vec<Wish> {
        vec![Wish::required("process", "what the settings name")]
    }
}

mainstay_plugin::check!(Running);

/// Healthy from `min` processes on.
fn verdict(count: u32, min: u32, sought: &str) -> Report {
    let report = if count >= min {
        Report::healthy(format!("{count} running"))
    } else if count == 0 {
        Report::unhealthy(format!("not running: {sought}"))
    } else {
        Report::unhealthy(format!("{count} running, fewer than {min}: {sought}"))
    };
    report.with_metric("count", count.into())
}

#[cfg(test)]
mod tests;
