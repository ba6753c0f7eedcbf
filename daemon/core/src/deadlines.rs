//! The next deadline among thousands, without looking at each.

use std::collections::{BTreeSet, HashMap};

use crate::address::InterfaceIndex;
use crate::time::Time;

/// Something with a deadline, by its place in the engine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Holder {
    Check(usize),
    Leftovers,
    Router(usize),
    Socket(InterfaceIndex),
}

#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    ordered: BTreeSet<(Time, Holder)>,
    current: HashMap<Holder, Time>,
}

impl Deadlines {
    pub(crate) fn set(&mut self, holder: Holder, deadline: Option<Time>) {
        let before = match deadline {
            Some(deadline) => self.current.insert(holder, deadline),
            None => self.current.remove(&holder),
        };
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.ordered.remove(&(before, holder));
        }
        if let Some(deadline) = deadline {
            self.ordered.insert((deadline, holder));
        }
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.ordered.first().map(|(time, _)| *time)
    }

    /// The holder whose deadline is the earliest, if it has come.
    pub(crate) fn due(&self, now: Time) -> Option<Holder> {
        self.ordered
            .first()
            .filter(|(time, _)| *time <= now)
            .map(|(_, holder)| *holder)
    }

    pub(crate) fn clear(&mut self) {
        self.ordered.clear();
        self.current.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::from_boot(Duration::from_millis(milliseconds))
    }

    #[test]
    fn the_earliest_deadline_comes_first_and_a_changed_one_counts_once() {
        let mut deadlines = Deadlines::default();
        deadlines.set(Holder::Router(0), Some(at(30)));
        deadlines.set(Holder::Check(0), Some(at(20)));
        deadlines.set(Holder::Router(0), Some(at(10)));
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.due(at(9)), None);
        assert_eq!(deadlines.due(at(10)), Some(Holder::Router(0)));
        deadlines.set(Holder::Router(0), None);
        assert_eq!(deadlines.next(), Some(at(20)));
        deadlines.clear();
        assert_eq!(deadlines.next(), None);
    }
}
