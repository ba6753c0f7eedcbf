//! When the errors of a check are worth a line in the log.

use std::time::Duration;

use crate::time::Time;

/// From one line to the next, so that a check whose errors vary or come and go does not flood the log.
const TELL_AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Complaint {
    /// The error that people know of, until the check reports.
    known: Option<String>,
    told: Option<Time>,
}

impl Complaint {
    /// Whether people are to be told of this error: they do not know of it, and it is not too soon.
    pub(super) fn is_due(&mut self, error: &str, now: Time) -> bool {
        let soon = self.told.is_some_and(|told| now.since(told) < TELL_AGAIN);
        if soon || self.known.as_deref() == Some(error) {
            return false;
        }
        self.known = Some(error.to_owned());
        self.told = Some(now);
        true
    }

    /// The check has reported: the next error is news, whatever it is.
    pub(super) fn settle(&mut self) {
        self.known = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn an_error_is_told_once_until_it_is_another() {
        let mut complaint = Complaint::default();
        assert!(complaint.is_due("trap", at(0)));
        assert!(!complaint.is_due("trap", at(1)));
        assert!(!complaint.is_due("trap", at(600)));
        assert!(complaint.is_due("timeout", at(601)));
    }

    #[test]
    fn an_error_after_a_report_is_told_again() {
        let mut complaint = Complaint::default();
        assert!(complaint.is_due("trap", at(0)));
        complaint.settle();
        assert!(complaint.is_due("trap", at(60)));
    }

    #[test]
    fn there_is_one_line_a_minute_at_most_and_what_lasts_is_told() {
        let mut complaint = Complaint::default();
        let told = (0..600).filter(|second| {
            if second % 2 == 1 {
                complaint.settle();
            }
            complaint.is_due(&format!("error {second}"), at(*second))
        });
        assert_eq!(told.count(), 10);
        assert!(!complaint.is_due("it lasts", at(599)));
        assert!(complaint.is_due("it lasts", at(600)));
    }
}
