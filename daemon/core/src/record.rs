//! What outlives a crash: a few fields per router and per check, each record on its own.

use serde::{Deserialize, Serialize};

use crate::address::{Family, Prefix};
use crate::event::RouterState;
use crate::input::WeightChange;
use crate::settings::RouterSettings;
use crate::time::Time;

/// One thing to remember; a later one with the same key replaces it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A virtual router.
    Router(RouterRecord),
    /// A check.
    Check(CheckRecord),
}

/// What a virtual router was doing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterRecord {
    /// Its identity.
    pub key: RouterKey,
    /// Its state.
    pub state: RouterState,
    /// When it last advertised, or entered the state when it doesn't.
    pub at: Time,
}

/// What identifies a virtual router across reloads and restarts (architecture rule 10).
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RouterKey {
    /// Name of its interface.
    pub interface: String,
    /// Its family.
    pub family: Family,
    /// Its VRID.
    pub id: u8,
}

impl RouterKey {
    /// The identity of the router with these settings.
    pub fn of(settings: &RouterSettings) -> Self {
        Self {
            interface: settings.interface.clone(),
            family: settings.family,
            id: settings.id.get(),
        }
    }
}

/// The last settled report of a check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckRecord {
    /// Its identity, from [`CheckSettings::identity`](crate::settings::CheckSettings).
    pub identity: [u8; 32],
    /// Whether it was in service.
    pub in_service: bool,
    /// Its message, cut to 128 bytes.
    pub message: String,
    /// What it contributed beyond the configured weight.
    pub weight: WeightChange,
    /// When the report came.
    pub at: Time,
}

/// What an earlier process left: its records, and the addresses that its manifest names as ours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Legacy {
    /// The records of the same boot; of another boot none count.
    pub records: Vec<Record>,
    /// Interface name and address of everything that the manifest lists.
    pub manifest: Vec<(String, Prefix)>,
}
