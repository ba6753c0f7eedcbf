//! `units`: the state of systemd's units, which the daemon asks for. Not stable.

use mainstay_protocol::{Answer, Question};

use super::State;
use crate::bindings::units::{Error, Host};
use crate::grant_line;

/// Calls of one run, at most.
const CALLS: u32 = 16;

impl Host for State {
    async fn active_state(&mut self, unit: String) -> Result<String, Error> {
        let _call = self.tally.call("units.active-state");
        self.looked += 1;
        let granted = &self.grants.spec.units;
        if !granted.contains(&unit) {
            let shown = self.shown(&unit, 64);
            self.tally.deny(
                format!("units.active-state {shown}"),
                grant_line::units(granted, &shown),
            );
            return Err(Error::NotPermitted);
        }
        if self.looked > CALLS {
            return Err(Error::Unavailable);
        }
        match self.ask(Question::Unit(unit)).await {
            Ok(Answer::Unit(Some(state))) => Ok(state),
            Ok(Answer::Unit(None)) => Err(Error::NotFound),
            Ok(_) | Err(_) => Err(Error::Unavailable),
        }
    }
}
