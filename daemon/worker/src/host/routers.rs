//! `routers` and `services`: what the daemon's engine has published last.

use mainstay_protocol::{Answer, Question, RouterRecord};

use super::State;
use crate::bindings::common::{Family, RouterState};
use crate::bindings::routers::{self, RouterStatus};
use crate::bindings::services::{self, ServiceStatus};
use crate::tally::Call;

/// Calls of one run, at most.
const CALLS: u32 = 16;
/// Bytes of a name that is asked for, at most.
const NAME: usize = 64;

impl routers::Host for State {
    async fn all(&mut self) -> Result<Vec<RouterStatus>, routers::Error> {
        self.routers("routers.all", None).await
    }

    async fn get(&mut self, name: String) -> Result<Vec<RouterStatus>, routers::Error> {
        let found = if name.len() > NAME {
            // None has such a name.
            let _call = self.may_look("routers.get")?;
            Vec::new()
        } else {
            self.routers("routers.get", Some(name)).await?
        };
        match found.is_empty() {
            true => Err(routers::Error::NotFound),
            false => Ok(found),
        }
    }
}

impl services::Host for State {
    /// There are no virtual services yet, so nothing is listed.
    async fn all(&mut self) -> Result<Vec<ServiceStatus>, services::Error> {
        let _call = self.tally.call("services.all");
        if !self.grants.spec.services {
            let line = "permissions.services = true".to_owned();
            self.tally.deny("services.all".to_owned(), line);
            return Err(services::Error::NotPermitted);
        }
        Ok(Vec::new())
    }
}

impl State {
    fn may_look(&mut self, function: &'static str) -> Result<Call, routers::Error> {
        let call = self.tally.call(function);
        self.looked += 1;
        if !self.grants.spec.routers {
            let line = "permissions.routers = true".to_owned();
            self.tally.deny(function.to_owned(), line);
            return Err(routers::Error::NotPermitted);
        }
        match self.looked > CALLS {
            true => Err(routers::Error::Unavailable),
            false => Ok(call),
        }
    }

    async fn routers(
        &mut self,
        function: &'static str,
        name: Option<String>,
    ) -> Result<Vec<RouterStatus>, routers::Error> {
        let _call = self.may_look(function)?;
        let Ok(Answer::Routers(records)) = self.ask(Question::Routers(name)).await else {
            return Err(routers::Error::Unavailable);
        };
        let statuses: Option<Vec<RouterStatus>> = records.into_iter().map(status).collect();
        statuses.ok_or(routers::Error::Unavailable)
    }
}

/// The record in the words of the contract; nothing when it has others.
fn status(record: RouterRecord) -> Option<RouterStatus> {
    Some(RouterStatus {
        family: Family::of(&record.family)?,
        state: RouterState::of(&record.state)?,
        name: record.name,
        interface_name: record.interface,
        id: record.id,
        base_priority: record.base_priority,
        effective_priority: record.effective_priority,
        since_ms: record.since_ms,
        active_router: record.active_router,
        addresses: record.addresses,
        attributes: Vec::new(),
    })
}
