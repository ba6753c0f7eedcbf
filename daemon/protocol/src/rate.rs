//! How often something happens.

use std::time::{Duration, Instant};

/// Counts in windows of one second.
#[derive(Debug, Default)]
pub struct Rate {
    window: Option<Instant>,
    count: u32,
}

impl Rate {
    /// Counts one more. Answers how many there were in this window, this one included.
    pub fn count(&mut self, now: Instant) -> u32 {
        let over = |start| now.saturating_duration_since(start) >= Duration::from_secs(1);
        if self.window.is_none_or(over) {
            (self.window, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_second_begins_at_one() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.count(start), 1);
        assert_eq!(rate.count(start + Duration::from_millis(999)), 2);
        assert_eq!(rate.count(start + Duration::from_millis(1000)), 1);
        // A clock that another thread has read a little earlier.
        assert_eq!(rate.count(start + Duration::from_millis(990)), 2);
    }
}
