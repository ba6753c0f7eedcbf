//! The RFCs' formulas, written down a second time, so that the engine is not measured by itself.

use std::time::Duration;

use mainstay_core::settings::{RouterSettings, Version};

/// `Skew_Time` (`V3-32`, `V2-07`).
pub(crate) fn skew(settings: &RouterSettings, priority: u8) -> Duration {
    let unit = match settings.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => settings.advert_interval,
    };
    Duration::from_nanos(unit.as_nanos() as u64 * (256 - u64::from(priority)) / 256)
}

/// `Active_Down_Interval` (`V3-32`, `V2-07`), with as many intervals as configured (`V3-34`).
pub(crate) fn down(settings: &RouterSettings, priority: u8) -> Duration {
    settings.advert_interval * u32::from(settings.down_timer_adverts) + skew(settings, priority)
}
