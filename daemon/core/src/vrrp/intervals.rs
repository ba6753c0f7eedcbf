//! The intervals of RFC 9568 section 6.1 (`V3-32`) and RFC 3768 section 6.1 (`V2-07`).

use std::time::Duration;

use crate::settings::Version;

/// The longest that addresses are kept after a stop was announced and nobody took over.
pub(crate) const RELEASE_CAP: Duration = Duration::from_secs(15);

/// How much later than others a router of this priority takes over. Version 2 counts in seconds
/// whatever the interval is.
pub(crate) fn skew(version: Version, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// How long a backup waits for the active router before it takes over.
pub(crate) fn down(version: Version, adverts: u8, priority: u8, interval: Duration) -> Duration {
    interval * u32::from(adverts) + skew(version, priority, interval)
}

/// For how long after its last advertisement an active router can be sure that no backup has taken
/// over: every one of them waits this long and its skew besides. Its own skew does not count, since
/// without preemption a backup may have the higher priority and so the shorter wait.
pub(crate) fn unchallenged(adverts: u8, interval: Duration) -> Duration {
    interval * u32::from(adverts)
}

/// How long addresses are kept after priority 0 was announced: a backup that missed the
/// announcement takes over within this, whatever its priority.
pub(crate) fn release(version: Version, adverts: u8, interval: Duration) -> Duration {
    down(version, adverts, 1, interval).min(RELEASE_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CENTISECOND: Duration = Duration::from_millis(10);

    #[test]
    fn v3_32_skew_and_down_interval_scale_with_the_interval() {
        assert_eq!(
            skew(Version::V3, 100, SECOND),
            Duration::from_micros(609_375)
        );
        assert_eq!(
            down(Version::V3, 3, 100, SECOND),
            Duration::from_micros(3_609_375)
        );
        assert_eq!(skew(Version::V3, 255, SECOND), SECOND / 256);
    }

    #[test]
    fn v3_32_a_step_of_priority_stays_visible_at_the_shortest_interval() {
        let step = skew(Version::V3, 100, CENTISECOND) - skew(Version::V3, 101, CENTISECOND);
        assert_eq!(step, Duration::from_nanos(39_063));
    }

    #[test]
    fn v2_07_skew_counts_in_seconds() {
        assert_eq!(
            skew(Version::V2, 90, 5 * SECOND),
            Duration::from_nanos(648_437_500)
        );
        assert_eq!(
            down(Version::V2, 3, 90, SECOND),
            Duration::from_nanos(3_648_437_500)
        );
    }

    #[test]
    fn v3_34_the_number_of_missed_advertisements_is_configurable() {
        assert_eq!(down(Version::V3, 5, 255, SECOND), 5 * SECOND + SECOND / 256);
    }

    #[test]
    fn v3_34_nobody_takes_over_from_an_active_router_before_all_adverts_are_missed() {
        for priority in 1..=254 {
            assert!(unchallenged(3, SECOND) < down(Version::V3, 3, priority, SECOND));
            assert!(unchallenged(5, SECOND) < down(Version::V2, 5, priority, SECOND));
        }
        assert_eq!(unchallenged(3, SECOND), 3 * SECOND);
    }

    #[test]
    fn the_release_bound_is_capped() {
        assert_eq!(
            release(Version::V3, 3, SECOND),
            3 * SECOND + SECOND * 255 / 256
        );
        assert_eq!(release(Version::V3, 3, 40 * SECOND), RELEASE_CAP);
    }
}
