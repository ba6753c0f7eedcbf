//! What the daemon knows and keeps for plugins: their state, the routers, pipes and units.

use serde::{Deserialize, Serialize};

use crate::bytes::Blob;

/// Keys of one plugin's state, at most.
pub const STATE_KEYS: usize = 64;

/// Whether a text is a key of the contract: `[a-z0-9_.-]{1,64}`.
#[must_use]
pub fn is_key(key: &str) -> bool {
    (1..=64).contains(&key.len())
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
}

/// Something to do with the state of the plugin that asks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateCall {
    /// What stands under a key.
    Get(String),
    /// Put this there.
    Set(String, Blob),
    /// Leave nothing there.
    Delete(String),
    /// Add to the number there.
    Increment(String, i64),
}

/// The answer to a [`StateCall`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateAnswer {
    /// To [`StateCall::Get`].
    Value(Option<Blob>),
    /// To [`StateCall::Set`] and [`StateCall::Delete`].
    Done,
    /// To [`StateCall::Increment`]: the sum.
    Number(i64),
    /// Over [`STATE_KEYS`], or over the size of the grant.
    QuotaExceeded,
    /// There is something else there than a number.
    NotANumber,
}

/// A virtual router as plugins see it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RouterRecord {
    /// Its name.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// VRID.
    pub id: u8,
    /// `initialize`, `backup`, `active`, `fault` or `stopped`.
    pub state: String,
    /// Priority as configured.
    pub base_priority: u8,
    /// Priority as advertised.
    pub effective_priority: u8,
    /// How long it has been in this state.
    pub since_ms: u64,
    /// Who is active, as far as known.
    pub active_router: Option<String>,
    /// The virtual addresses.
    pub addresses: Vec<String>,
}

/// What came of a line for a pipe.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PipeAnswer {
    /// It is in the pipe.
    Written,
    /// Nobody reads, or there is no pipe.
    NoReader,
    /// There is no room for it.
    Full,
}
