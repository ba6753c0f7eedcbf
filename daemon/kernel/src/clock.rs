//! The kernel's clocks.

use std::time::Duration;

use mainstay_core::time::{Now, Realtime, Time};
use nix::sys::time::TimeSpec;
use nix::time::ClockId;

/// Both clocks of the engine at one moment.
pub fn now() -> Now {
    let (boottime, realtime) = read();
    Now {
        boottime: Time::from_boot(boottime),
        realtime: Realtime(u64::try_from(realtime.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// `CLOCK_BOOTTIME`, in nanoseconds.
pub(crate) fn boottime() -> Duration {
    clock(ClockId::CLOCK_BOOTTIME)
}

/// How far apart two readings may be to count as made at one moment.
const ONE_MOMENT: Duration = Duration::from_micros(10);
/// How often that is tried.
const ATTEMPTS: u32 = 4;

/// `CLOCK_BOOTTIME` and `CLOCK_REALTIME` at one moment, so that one can be told by the other: a
/// thread can lose its processor between two readings.
pub(crate) fn read() -> (Duration, Duration) {
    let mut apart = Duration::MAX;
    let mut clocks = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ATTEMPTS {
        let before = boottime();
        let realtime = clock(ClockId::CLOCK_REALTIME);
        let after = boottime();
        let took = after.saturating_sub(before);
        if took < apart {
            apart = took;
            clocks = (after, realtime);
        }
        if apart <= ONE_MOMENT {
            break;
        }
    }
    clocks
}

/// Time on a clock of the kernel; before the epoch counts as the epoch.
///
/// `clock_gettime` fails only for a clock that doesn't exist (both do since Linux 2.6.39) and for a
/// bad address; zero is what is left to say then.
fn clock(id: ClockId) -> Duration {
    nix::time::clock_gettime(id).map_or(Duration::ZERO, duration)
}

/// A kernel's time stamp as a duration; negative ones are zero.
pub(crate) fn duration(time: TimeSpec) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec()).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run_forwards_and_are_not_mixed_up() {
        let first = now();
        let second = now();
        assert!(first.boottime > Time::ZERO);
        assert!(second.boottime >= first.boottime);
        // The year 2020: no machine that runs this has been up for that long.
        assert!(first.realtime.0 > 1_577_836_800_000);
        assert!(first.boottime.since_boot().as_millis() < u128::from(first.realtime.0));
    }
}
