//! Priority after tracking, and weights that can never hand over.

use crate::health::{Assessment, Checks};
use crate::input::WeightChange;
use crate::settings::Track;

/// The largest weight of a tracked check, either way.
const LARGEST: i32 = 253;

/// The effective priority: base plus contributions, clamped to 1..=254; an owner's 255 stays.
pub(crate) fn effective(base: u8, contributions: impl IntoIterator<Item = i32>) -> u8 {
    if base == u8::MAX {
        return base;
    }
    let sum = contributions
        .into_iter()
        .fold(i32::from(base), i32::saturating_add);
    sum.clamp(1, 254) as u8
}

/// What a tracked check contributes to the priority: a positive weight while it is in service, a
/// negative one while it is not; a report may replace it or add to it.
pub(crate) fn contribution(
    weight: Option<i16>,
    check: Option<Assessment<'_>>,
    active: bool,
) -> i32 {
    let in_service = check.is_some_and(|check| check.in_service || (active && check.on_probation));
    let configured = weighted(weight, in_service);
    match check.map(|check| check.weight) {
        Some(WeightChange::Set(value)) if in_service => {
            i32::try_from(value).unwrap_or(LARGEST).min(LARGEST)
        }
        Some(WeightChange::Offset(offset)) if in_service => {
            configured + offset.clamp(-LARGEST, LARGEST)
        }
        _ => configured,
    }
}

/// A sentence about each weight that does not bring this router below `peer`'s priority even when its check
/// is out of service, so that it would never hand over.
pub(crate) fn weights_without_effect(
    base: u8,
    track: &[Track],
    checks: &Checks,
    peer: (std::net::Ipv4Addr, u8),
) -> Vec<String> {
    let (address, priority) = peer;
    let with = |failed: Option<&str>| {
        effective(
            base,
            track
                .iter()
                .map(|track| weighted(track.weight, failed != Some(track.check.as_str()))),
        )
    };
    let healthy = with(None);
    track
        .iter()
        .filter_map(|track| Some((track, track.weight?)))
        .filter(|(track, _)| checks.find(&track.check).is_some())
        .filter_map(|(track, weight)| {
            let failed = with(Some(&track.check));
            // A backup of the same priority does not take over either (`V3-45`).
            (healthy >= priority && failed >= priority).then(|| {
                format!(
                    "check {}: its weight of {weight} leaves priority {failed} when it fails, not \
                     below {address}'s {priority}: it would never hand over",
                    track.check
                )
            })
        })
        .collect()
}

fn weighted(weight: Option<i16>, in_service: bool) -> i32 {
    let weight = i32::from(weight.unwrap_or(0));
    if in_service {
        weight.max(0)
    } else {
        weight.min(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::health::Check;
    use crate::settings::{CheckSettings, Initial, OnError};
    use crate::time::Time;

    fn assessment(in_service: bool, weight: WeightChange) -> Option<Assessment<'static>> {
        Some(Assessment {
            in_service,
            weight,
            message: "",
            on_probation: false,
        })
    }

    #[test]
    fn the_sum_is_clamped_and_an_owner_is_immune() {
        assert_eq!(effective(100, [-20]), 80);
        assert_eq!(effective(100, [-253]), 1);
        assert_eq!(effective(200, [100]), 254);
        assert_eq!(effective(255, [-20]), 255);
        assert_eq!(effective(100, [i32::MAX, i32::MAX]), 254);
    }

    #[test]
    fn a_weight_counts_on_its_own_side() {
        let unchanged = WeightChange::Unchanged;
        for (weight, in_service, expected) in [
            (Some(-20), true, 0),
            (Some(-20), false, -20),
            (Some(2), true, 2),
            (Some(2), false, 0),
            (None, true, 0),
            (None, false, 0),
        ] {
            assert_eq!(
                contribution(weight, assessment(in_service, unchanged), false),
                expected
            );
        }
        assert_eq!(contribution(Some(-20), None, false), -20);
    }

    #[test]
    fn a_report_can_replace_or_shift_the_weight_while_in_service() {
        let set = WeightChange::Set(9);
        let offset = WeightChange::Offset(-5);
        assert_eq!(contribution(Some(2), assessment(true, set), false), 9);
        assert_eq!(contribution(Some(2), assessment(true, offset), false), -3);
        assert_eq!(
            contribution(Some(-20), assessment(false, offset), false),
            -20
        );
        assert_eq!(
            contribution(None, assessment(true, WeightChange::Set(u32::MAX)), false),
            253
        );
    }

    #[test]
    fn an_active_router_does_not_hold_a_new_checks_silence_against_it() {
        let check = Some(Assessment {
            in_service: false,
            weight: WeightChange::Unchanged,
            message: "",
            on_probation: true,
        });
        assert_eq!(contribution(Some(-20), check, true), 0);
        assert_eq!(contribution(Some(-20), check, false), -20);
    }

    #[test]
    fn a_weight_that_never_hands_over_is_named() {
        let settings = CheckSettings {
            name: "nginx".to_owned(),
            plugin: "process".to_owned(),
            identity: [0; 32],
            rise: 1,
            fall: 1,
            initial: Initial::Unhealthy,
            on_error: OnError::Keep,
            stale_after: Duration::from_secs(1),
        };
        let checks = Checks::new(vec![Check::new(settings, None, Time::ZERO)]);
        let track = |weight| {
            [Track {
                check: "nginx".to_owned(),
                weight,
            }]
        };
        let named = |weight, peer| {
            weights_without_effect(100, &track(weight), &checks, (Ipv4Addr::LOCALHOST, peer)).len()
        };
        assert_eq!(named(Some(2), 92), 1);
        assert_eq!(named(Some(-20), 90), 0);
        assert_eq!(named(Some(-10), 90), 1);
        assert_eq!(named(Some(-11), 90), 0);
        assert_eq!(named(Some(-2), 120), 0);
        assert_eq!(named(None, 90), 0);
    }
}
