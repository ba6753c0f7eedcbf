//! Takes away what a daemon that is no longer there has left behind.

use std::collections::BTreeMap;

use mainstay_core::address::{InterfaceIndex, Prefix};
use mainstay_core::input::{Address, Failure, Mark};

use super::batch::Change;
use super::connection::Connection;
use super::table::Table;
use super::{Effect, RECEIVE_BUFFER, Route, RouteError};

/// What became of one listed address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removal {
    /// Name of the interface that it was listed for.
    pub interface: String,
    /// The address.
    pub prefix: Prefix,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a listed address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was ours and is gone.
    Removed,
    /// It was not there.
    Absent,
    /// It is there, but somebody else put it there; it stays.
    NotOurs,
    /// It is ours and still there.
    Failed(Failure),
}

/// Removes those of the listed addresses that are there and ours: with our mark, or on a kernel that
/// keeps none. One with our mark is found under any name of its interface, since that may have been
/// renamed. Reports on each, in the order given.
///
/// # Errors
///
/// When the kernel can't be asked what is there.
pub async fn remove_listed(entries: &[(String, Prefix)]) -> Result<Vec<Removal>, RouteError> {
    let mut route = Route {
        connection: Connection::open(RECEIVE_BUFFER)?,
        table: Table::default(),
        deliver: |_| (),
    };
    route.refresh().await?;
    let found: Vec<_> = entries
        .iter()
        .map(|(name, prefix)| find(&route.table, name, *prefix))
        .collect();

    let mut batches: BTreeMap<InterfaceIndex, Vec<Prefix>> = BTreeMap::new();
    for address in found.iter().filter_map(|found| found.as_ref().ok()) {
        batches
            .entry(address.interface)
            .or_default()
            .push(address.prefix);
    }
    let mut failures = BTreeMap::new();
    for (interface, addresses) in batches {
        let removal = Change::from(Effect::RemoveAddresses {
            interface,
            addresses,
        });
        for (prefix, failure) in route.execute(&removal).await? {
            failures.insert((interface, prefix), failure);
        }
    }

    let removals = entries
        .iter()
        .zip(found)
        .map(|((name, prefix), found)| Removal {
            interface: name.clone(),
            prefix: *prefix,
            outcome: match found {
                Err(outcome) => outcome,
                Ok(address) => match failures.get(&(address.interface, Some(*prefix))) {
                    Some(error) => Outcome::Failed(Failure {
                        errno: error.raw_os_error(),
                        message: error.to_string(),
                    }),
                    None => Outcome::Removed,
                },
            },
        });
    Ok(removals.collect())
}

/// The listed address, if it is to be removed; else what is to be said of it.
fn find(table: &Table, name: &str, prefix: Prefix) -> Result<Address, Outcome> {
    let mut named = None;
    let mut renamed = None;
    for address in table.addresses().filter(|address| address.prefix == prefix) {
        let link = table.link(address.interface);
        if link.is_some_and(|link| link.name == name) {
            named = Some(*address);
        } else if address.mark == Mark::Ours {
            renamed = Some(*address);
        }
    }
    match (named, renamed) {
        (Some(address), _) if address.mark != Mark::Other => Ok(address),
        (_, Some(address)) => Ok(address),
        (Some(_), None) => Err(Outcome::NotOurs),
        (None, None) => Err(Outcome::Absent),
    }
}
