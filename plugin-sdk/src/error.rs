//! Why a plugin could not do its job.

use std::fmt::Display;

use crate::{PluginError, http, probe, process};

impl PluginError {
    /// Anything that has no case of its own, in one line.
    #[must_use]
    pub fn failed(why: impl Display) -> Self {
        Self::Failed(why.to_string())
    }
}

impl From<process::Error> for PluginError {
    fn from(error: process::Error) -> Self {
        match error {
            process::Error::NotPermitted => Self::NotPermitted("process: not granted".to_owned()),
            process::Error::InvalidQuery => Self::Failed("process: invalid query".to_owned()),
            process::Error::Unavailable => Self::Failed("process: unavailable".to_owned()),
        }
    }
}

impl From<probe::Error> for PluginError {
    fn from(error: probe::Error) -> Self {
        let why = match error {
            probe::Error::NotPermitted => {
                return Self::NotPermitted("probe: not granted".to_owned());
            }
            probe::Error::TimedOut => return Self::Timeout,
            probe::Error::InvalidAddress => "invalid address".to_owned(),
            probe::Error::InvalidOption(why) => format!("invalid option: {why}"),
            probe::Error::Refused => "connection refused".to_owned(),
            probe::Error::Unreachable => "unreachable".to_owned(),
            probe::Error::TlsFailed(why) => format!("TLS failed: {why}"),
            probe::Error::TooMany => "too many probes in this run".to_owned(),
            probe::Error::ProtocolError(why) | probe::Error::Other(why) => why,
        };
        Self::Failed(format!("probe: {why}"))
    }
}

impl From<http::Error> for PluginError {
    fn from(error: http::Error) -> Self {
        let why = match error {
            http::Error::NotPermitted => {
                return Self::NotPermitted("http: not granted".to_owned());
            }
            http::Error::TimedOut => return Self::Timeout,
            http::Error::InvalidRequest(why) => format!("invalid request: {why}"),
            http::Error::ResolveFailed(why) => format!("name not resolved: {why}"),
            http::Error::ConnectFailed(why) => format!("not connected: {why}"),
            http::Error::TlsFailed(why) => format!("TLS failed: {why}"),
            http::Error::TooMany => "too many requests in this run".to_owned(),
            http::Error::ProtocolError(why) | http::Error::Other(why) => why,
        };
        Self::Failed(format!("http: {why}"))
    }
}
