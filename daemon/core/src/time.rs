//! The engine's clock: points in time that come in with every input.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the boot-time clock (`CLOCK_BOOTTIME`), which never jumps and goes on in suspend.
///
/// Kept in nanoseconds, so that the 39 µs between two priorities at 10 ms intervals are told
/// apart (`V3-32`). Reaches to the year 584 after boot.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Time(u64);

impl Time {
    /// The moment of boot.
    pub const ZERO: Self = Self(0);

    /// The time that lies `since_boot` after boot; saturates at the end of the range.
    pub fn from_boot(since_boot: Duration) -> Self {
        Self(nanoseconds(since_boot))
    }

    /// How long after boot this is.
    pub fn since_boot(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(duration)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}",
            self.0 / 1_000_000_000,
            self.0 / 1_000 % 1_000_000
        )
    }
}

/// Milliseconds since the Unix epoch: only for the wire and for people, never for a decision.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Realtime(pub u64);

/// Both clocks at the moment of an input.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Now {
    /// The clock of every timer.
    pub boottime: Time,
    /// The clock on the wall.
    pub realtime: Realtime,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(
            Time::from_boot(Duration::MAX) + Duration::MAX,
            Time(u64::MAX)
        );
        assert_eq!(Time::ZERO.since(Time(1)), Duration::ZERO);
    }

    #[test]
    fn a_time_prints_as_seconds_since_boot() {
        assert_eq!(Time(61_000_039_063).to_string(), "61.000039");
    }
}
