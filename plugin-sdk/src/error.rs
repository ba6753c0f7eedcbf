//! Why a plugin could not do its job.

use std::fmt::Display;

use crate::{PluginError, fifo, http, probe, process, routers, secrets, services, state};

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

impl From<fifo::Error> for PluginError {
    fn from(error: fifo::Error) -> Self {
        match error {
            fifo::Error::NotPermitted => Self::NotPermitted("fifo: not granted".to_owned()),
            fifo::Error::NoReader => Self::Failed("fifo: nobody reads".to_owned()),
            fifo::Error::Full => Self::Failed("fifo: the pipe is full".to_owned()),
            fifo::Error::InvalidLine => Self::Failed("fifo: invalid line".to_owned()),
            fifo::Error::Other => Self::Failed("fifo: unavailable".to_owned()),
        }
    }
}

impl From<routers::Error> for PluginError {
    fn from(error: routers::Error) -> Self {
        match error {
            routers::Error::NotPermitted => Self::NotPermitted("routers: not granted".to_owned()),
            routers::Error::NotFound => Self::Failed("routers: no such router".to_owned()),
            routers::Error::Unavailable => Self::Failed("routers: unavailable".to_owned()),
        }
    }
}

impl From<secrets::Error> for PluginError {
    fn from(error: secrets::Error) -> Self {
        match error {
            secrets::Error::NotPermitted => Self::NotPermitted("secrets: not granted".to_owned()),
            secrets::Error::NotFound => Self::Failed("secrets: there is no value".to_owned()),
        }
    }
}

impl From<services::Error> for PluginError {
    fn from(error: services::Error) -> Self {
        match error {
            services::Error::NotPermitted => Self::NotPermitted("services: not granted".to_owned()),
            services::Error::Unavailable => Self::Failed("services: unavailable".to_owned()),
        }
    }
}

impl From<state::Error> for PluginError {
    fn from(error: state::Error) -> Self {
        match error {
            state::Error::NotPermitted => Self::NotPermitted("state: not granted".to_owned()),
            state::Error::InvalidKey => Self::Failed("state: invalid key".to_owned()),
            state::Error::QuotaExceeded => Self::Failed("state: quota exceeded".to_owned()),
            state::Error::NotANumber => Self::Failed("state: not a number".to_owned()),
            state::Error::Unavailable => Self::Failed("state: unavailable".to_owned()),
        }
    }
}
