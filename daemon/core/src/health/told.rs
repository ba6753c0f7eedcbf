//! What the hooks have been told of a check.

use crate::event::CheckChange;
use crate::status::CheckState;
use crate::time::Realtime;

/// The last word told, and how many were.
#[derive(Debug, Default)]
pub(crate) struct Told {
    state: Option<CheckState>,
    sequence: u64,
}

impl Told {
    /// The change to this state, when it is one. A check that was never known has none to tell of.
    pub(super) fn change(
        &mut self,
        check: &str,
        to: CheckState,
        message: &str,
        at_unix_ms: Realtime,
    ) -> Option<CheckChange> {
        let from = self.state;
        if from.unwrap_or(CheckState::Unknown) == to {
            return None;
        }
        self.state = Some(to);
        self.sequence += 1;
        Some(CheckChange {
            sequence: self.sequence,
            check: check.to_owned(),
            from,
            to,
            message: message.to_owned(),
            at_unix_ms,
        })
    }
}
