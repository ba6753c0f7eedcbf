//! The golden check.

use mainstay_plugin::prelude::*;
use mainstay_plugin::{Metric, MetricKind};

#[settings]
struct Settings {
    /// Comes back in the message.
    word: String,
}

struct Golden;

impl Check for Golden {
    type Settings = Settings;

    fn run(settings: Settings, request: &Request) -> Result<Report> {
        let carried = request.carry.as_ref().map_or(0, Vec::len);
        let mut report = Report::healthy(format!(
            "{} {} carried={carried} previous={:?} {}",
            settings.word,
            request.name,
            request.previous,
            mainstay_golden::everything()
        ))
        .with_carry(b"four".to_vec());
        report.metrics = vec![Metric {
            name: "sequence".to_owned(),
            kind: MetricKind::Counter,
            value: request.sequence as f64,
            labels: Vec::new(),
        }];
        Ok(report)
    }

    fn validate(settings: &Settings) -> Vec<Problem> {
        match settings.word.as_str() {
            "" => vec![Problem::at("/word", "is empty")],
            _ => Vec::new(),
        }
    }

    fn wishes() -> Vec<Wish> {
        vec![Wish::optional("process", "golden")]
    }
}

mainstay_plugin::check!(Golden);
