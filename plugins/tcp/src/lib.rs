//! The stock check `tcp`: does something accept connections.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mainstay_plugin::prelude::*;

/// Where to connect to.
#[settings]
struct Settings {
    /// An IPv4 or IPv6 address; names are not resolved.
    address: String,
    /// The port.
    #[schemars(extend("minimum" = 1))]
    port: u16,
    /// How long connecting may take; by default nearly as long as the check.
    timeout: Option<Span>,
}

struct Connects;

impl Check for Connects {
    type Settings = Settings;

    fn run(settings: Settings, _: &Request) -> Result<Report> {
        let target = target(&settings).map_err(PluginError::InvalidSettings)?;
        let to = Endpoint {
            address: target.ip().to_string(),
            port: target.port(),
        };
        let options = probe::Options::timeout(patience(settings.timeout, budget::remaining()));
        verdict(target, probe::tcp_connect(&to, &options))
    }

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(message) = target(settings) {
            problems.push(Problem::at("/address", message));
        }
        if settings.port == 0 {
            problems.push(Problem::at("/port", "0 is not a port"));
        }
        if settings
            .timeout
            .is_some_and(|Span(timeout)| timeout < Duration::from_millis(1))
        {
            problems.push(Problem::at("/timeout", "is shorter than 1ms"));
        }
        problems
    }

    fn wishes() -> Vec<Wish> {
        vec![Wish::required("probe", "what the settings name")]
    }
}

mainstay_plugin::check!(Connects);

fn target(settings: &Settings) -> Result<SocketAddr, String> {
    match settings.address.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, settings.port)),
        Err(_) => Err(format!(
            "{:?} is not an IPv4 or IPv6 address",
            settings.address
        )),
    }
}

/// The configured timeout, but never so long that the run itself would be stopped before there is a verdict.
fn patience(configured: Option<Span>, remaining: Duration) -> Duration {
    let most = remaining * 9 / 10;
    configured.map_or(most, |Span(timeout)| timeout.min(most))
}

/// What the peer did decides; that the probe could not be made does not.
fn verdict(target: SocketAddr, outcome: Result<Duration, probe::Error>) -> Result<Report> {
    let why = match outcome {
        Ok(elapsed) => {
            let seconds = elapsed.as_secs_f64();
            let message = format!("{target} accepts connections, {:.1} ms", seconds * 1e3);
            return Ok(Report::healthy(message).with_metric("connect_seconds", seconds));
        }
        Err(probe::Error::Refused) => "refuses connections",
        Err(probe::Error::TimedOut) => "does not answer",
        Err(probe::Error::Unreachable) => "is unreachable",
        Err(error) => return Err(error.into()),
    };
    Ok(Report::unhealthy(format!("{target} {why}")))
}

#[cfg(test)]
mod tests;
