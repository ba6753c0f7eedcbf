//! How often people are told what checks do to a router, and how much at a time.
//!
//! With many checks much changes at once, at a start above all, and every router that tracks them has something to say.

use std::time::Duration;

use super::router::Router;
use crate::time::Time;

/// From one remark to the next, in the long run.
const EVERY: Duration = Duration::from_secs(1);
/// Remarks that may come at once after a while without any.
const AT_ONCE: u32 = 4;
/// Reasons that are listed; more of them are counted.
const LISTED: usize = 8;

/// What has been told lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When there would have been [`EVERY`] for each remark.
    paid: Option<Time>,
}

impl Pace {
    /// Counts a remark, if there may be one now.
    ///
    /// # Errors
    /// When there may be one.
    fn count(&mut self, now: Time) -> Result<(), Time> {
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        let ahead = EVERY * (AT_ONCE - 1);
        if paid.since(now) > ahead {
            return Err(now + (paid.since(now) - ahead));
        }
        self.paid = Some(paid + EVERY);
        Ok(())
    }
}

impl Router {
    /// Whether a change may be told now. Else all changes are told together, as soon as that may be.
    pub(super) fn may_remark(&mut self, now: Time) -> bool {
        match self.pace.count(now) {
            Ok(()) => true,
            Err(later) => {
                self.timers.remark = Some(later);
                false
            }
        }
    }
}

/// The first of these, and how many others there are.
pub(super) fn listed(texts: &[String], separator: &str) -> String {
    let (shown, others) = texts.split_at(texts.len().min(LISTED));
    let list = shown.join(separator);
    match others.len() {
        0 => list,
        more => format!("{list}{separator}and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_few_at_once_there_is_one_in_a_second() {
        let mut pace = Pace::default();
        let mut now = Time::ZERO + Duration::from_secs(100);
        for _ in 0..AT_ONCE {
            assert_eq!(pace.count(now), Ok(()));
        }
        for _ in 0..3 {
            let later = pace.count(now).unwrap_err();
            assert_eq!(later, now + EVERY);
            now = later;
            assert_eq!(pace.count(now), Ok(()));
        }
        now = now + EVERY * AT_ONCE;
        for _ in 0..AT_ONCE {
            assert_eq!(pace.count(now), Ok(()));
        }
        assert!(pace.count(now).is_err());
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let texts = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(listed(&texts(2), ", "), "0, 1");
        assert_eq!(listed(&texts(8), ", "), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(
            listed(&texts(10), "; "),
            "0; 1; 2; 3; 4; 5; 6; 7; and 2 more"
        );
    }
}
