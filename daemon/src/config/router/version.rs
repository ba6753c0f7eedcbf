//! What depends on the version of VRRP: intervals, authentication, checksum.

use std::time::Duration;

use mainstay_core::settings::{Authentication, ChecksumForm, Version};

use super::Surroundings;
use crate::config::password;
use crate::config::value::Value;

/// Reads `version`.
pub(super) fn read(value: &Value<'_>) -> Option<Version> {
    match value.number(2..=3)? {
        2 => Some(Version::V2),
        _ => Some(Version::V3),
    }
}

/// Reads `advert-interval`: what the wire can say (`V2-01`, `V3-11`).
pub(super) fn advert_interval(value: &Value<'_>, version: Version) -> Option<Duration> {
    const STEP: Duration = Duration::from_millis(10);
    let (range, step, expected) = match version {
        Version::V2 => (
            Duration::from_secs(1)..=Duration::from_secs(255),
            Duration::from_secs(1),
            "version 2 advertises every 1s to 255s, in whole seconds; use version = 3 for less",
        ),
        Version::V3 => (
            STEP..=STEP * 4095,
            STEP,
            "version 3 advertises every 10ms to 40s 950ms, in steps of 10ms",
        ),
    };
    let interval = value.duration(Duration::ZERO..=Duration::MAX)?;
    if !range.contains(&interval) || interval.as_nanos() % step.as_nanos() != 0 {
        value.spot.error(
            format!(
                "version {} cannot advertise every {}",
                version.number(),
                humantime::format_duration(interval)
            ),
            Some(expected.to_owned()),
        );
        return None;
    }
    Some(interval)
}

/// Reads `auth` (`AU-01`).
pub(super) fn authentication(
    value: &Value<'_>,
    version: Version,
    surroundings: &Surroundings<'_>,
) -> Option<Authentication> {
    let mut table = value.table()?;
    let kind = table.require("type", "\"pass\"");
    let password = table.require("password", "\"1234\"");
    table.finish();
    if version == Version::V3 {
        value.spot.error(
            "version 3 has no authentication",
            Some("remove auth, or say version = 2".to_owned()),
        );
        return None;
    }
    kind?.one_of(&[("pass", ())])?;
    password::read(&password?, surroundings).map(Authentication::Pass)
}

/// Reads `checksum` (`V3-12`, `V3-13`).
pub(super) fn checksum(value: &Value<'_>, version: Version) -> Option<ChecksumForm> {
    if version == Version::V2 {
        value.spot.error(
            "version 2 has only one form of checksum",
            Some("remove checksum".to_owned()),
        );
        return None;
    }
    value.one_of(&[
        ("pseudo-header", ChecksumForm::PseudoHeader),
        ("message-only", ChecksumForm::MessageOnly),
    ])
}
