//! `budget`: what is left of a run's time.

use super::State;
use crate::bindings::budget;

impl budget::Host for State {
    async fn remaining_ms(&mut self) -> u32 {
        let _call = self.tally.call("budget.remaining-ms");
        u32::try_from(self.remaining().as_millis()).unwrap_or(u32::MAX)
    }
}
