//! The pause before a worker is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);

/// Less than this is no service.
const HEALTHY: Duration = Duration::from_secs(1);

/// No pause at first, then 100 ms, doubling up to a minute. A worker that served for longer than
/// the pause before it, and for a second at least, was healthy: the next pause is none again.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause: Duration,
    next: Duration,
}

impl Backoff {
    /// The pause after a worker that served for this long; zero when it did not come to serve.
    pub(super) fn pause_after(&mut self, served: Duration) -> Duration {
        if served >= HEALTHY.max(self.pause) {
            self.next = Duration::ZERO;
        }
        self.pause = self.next;
        self.next = (self.next * 2).clamp(FIRST, LONGEST);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(backoff: &mut Backoff, served: u64, count: usize) -> Vec<u128> {
        let served = Duration::from_millis(served);
        (0..count)
            .map(|_| backoff.pause_after(served).as_millis())
            .collect()
    }

    #[test]
    fn pauses_grow_to_a_minute_while_workers_die_at_once() {
        let mut backoff = Backoff::default();
        let first = pauses(&mut backoff, 0, 6);
        assert_eq!(first, [0, 100, 200, 400, 800, 1600]);
        assert_eq!(pauses(&mut backoff, 999, 20).last(), Some(&60_000));
    }

    #[test]
    fn a_worker_that_served_longer_than_it_was_waited_for_was_healthy() {
        let mut backoff = Backoff::default();
        pauses(&mut backoff, 0, 6);
        assert_eq!(pauses(&mut backoff, 1500, 1), [3200]);
        assert_eq!(pauses(&mut backoff, 3200, 1), [0]);
        assert_eq!(pauses(&mut backoff, 0, 2), [100, 200]);
    }
}
