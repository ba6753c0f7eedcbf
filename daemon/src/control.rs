//! The control socket: how the commands of an operator reach a running daemon.
//!
//! `<runtime-dir>/control.sock` takes one request per connection, four bytes of length (big endian)
//! and a JSON document, and answers with one response in the same form. Who may connect is the
//! socket's mode (0660, owner and group of the daemon); the daemon asks the kernel once more who it
//! is (see [`peer`]).

pub(crate) mod client;
mod document;
mod frame;
mod peer;
mod runtime_dir;
mod server;

use mainstay_core::status::Explanation;
use serde::{Deserialize, Serialize};

pub(crate) use document::{PluginStatus, RefusedReload, StatusDocument};
pub(crate) use peer::{Admission, Workers};
pub(crate) use runtime_dir::{RuntimeDir, RuntimeDirError};
pub(crate) use server::{Listener, serve};

/// Name of the socket in the runtime directory.
pub(crate) const SOCKET: &str = "control.sock";

/// What an operator asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// What is active where, and why.
    Status,
    /// The transitions behind the present states.
    Explain {
        /// Name of a router; all when absent.
        router: Option<String>,
    },
    /// What is counted, as OpenMetrics text.
    Metrics,
    /// Read the configuration again and apply it.
    Reload,
}

/// What the daemon answers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Response {
    /// To [`Request::Status`].
    Status(Box<StatusDocument>),
    /// To [`Request::Explain`].
    Explain(Vec<Explanation>),
    /// To [`Request::Metrics`].
    Metrics(String),
    /// To [`Request::Reload`]: it is in force.
    Reloaded {
        /// What an operator should look at all the same.
        warnings: Vec<String>,
    },
    /// To anything: it was not done, and nothing changed. Lines for people.
    Failed {
        /// What is wrong, one line.
        message: String,
        /// More of it, such as each fault of a configuration; may be empty.
        details: Vec<String>,
    },
}

impl Response {
    /// A failure without details.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            details: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
