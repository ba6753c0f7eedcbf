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
mod tests {
    use super::*;

    #[test]
    fn healthy_from_the_minimum_on() {
        for (count, min, status, message) in [
            (0, 1, Status::Unhealthy, "not running: nginx"),
            (1, 1, Status::Healthy, "1 running"),
            (7, 1, Status::Healthy, "7 running"),
            (1, 2, Status::Unhealthy, "1 running, fewer than 2: nginx"),
            (2, 2, Status::Healthy, "2 running"),
        ] {
            let report = verdict(count, min, "nginx");
            assert_eq!((report.status, report.message.as_str()), (status, message));
            assert_eq!(
                (report.metrics[0].name.as_str(), report.metrics[0].value),
                ("count", f64::from(count))
            );
        }
    }
}
