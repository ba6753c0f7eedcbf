//! Plugins on their way from a component's file to code that a worker can run.
//!
//! ```text
//! component   the file: read once, hashed, sealed      cache   code kept for the next start
//! plan        what is to be loaded, from which files   key     what authenticates the cache
//! ```
//!
//! Compiling itself is a worker's: [`Source`](crate::worker::Source).

mod cache;
mod component;
mod key;
mod plan;
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mainstay_protocol::Sealed;

pub(crate) use cache::{Cache, CacheError};
pub(crate) use component::{FileError, digest, read};
pub(crate) use plan::{ComponentFile, Plan};

/// Code by the digest of its component, for one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codes {
    /// As the worker says that loads it.
    pub(crate) engine: String,
    /// By the digest of the component.
    pub(crate) by_digest: BTreeMap<String, Arc<Code>>,
}

/// The code of one component.
#[derive(Debug)]
pub(crate) struct Code {
    /// The code.
    pub(crate) sealed: Sealed,
    /// Size of the component, in bytes.
    pub(crate) component_size: u64,
    /// How long it took to compile; `None` when it comes from the cache.
    pub(crate) compiled_in: Option<Duration>,
    /// Whether the cache had something that could not be used.
    pub(crate) rejected: bool,
    /// Why the cache does not have it though it should.
    pub(crate) not_kept: Option<String>,
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
