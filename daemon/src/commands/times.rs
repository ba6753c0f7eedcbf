//! Times for people: RFC 3339 instead of milliseconds, and how long ago.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mainstay_core::time::Realtime;
use serde_json::Value;

/// The moment as RFC 3339, to the millisecond.
pub(super) fn rfc3339(at: Realtime) -> String {
    humantime::format_rfc3339_millis(system_time(at)).to_string()
}

/// How long before `now` the moment was, in whole seconds, such as `2m 5s`.
pub(super) fn ago(at: Realtime, now: SystemTime) -> String {
    let past = now.duration_since(system_time(at)).unwrap_or_default();
    whole_seconds(past)
}

/// A duration in whole seconds, such as `2m 5s`.
pub(super) fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// Replaces, everywhere in a document, `since-unix-ms` by `since`, and so with `at` and `heard`, in
/// RFC 3339; an `at` on the boot-time clock becomes `at-boottime-ns`.
pub(super) fn readable(document: &mut Value) {
    match document {
        Value::Array(elements) => elements.iter_mut().for_each(readable),
        Value::Object(object) => {
            if let Some(Value::Number(at)) = object.get("at-unix-ms")
                && at.is_u64()
                && let Some(boottime) = object.remove("at")
            {
                object.insert("at-boottime-ns".to_owned(), boottime);
            }
            for (milliseconds, name) in [
                ("since-unix-ms", "since"),
                ("at-unix-ms", "at"),
                ("heard-unix-ms", "heard"),
            ] {
                if let Some(at) = object.get(milliseconds).and_then(Value::as_u64) {
                    object.remove(milliseconds);
                    object.insert(name.to_owned(), rfc3339(Realtime(at)).into());
                }
            }
            object.values_mut().for_each(readable);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn system_time(at: Realtime) -> SystemTime {
    // A clock beyond the year 9999, which the form cannot show, is shown as its end.
    const END: u64 = 253_402_300_799_999;
    UNIX_EPOCH + Duration::from_millis(at.0.min(END))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_readable_wherever_they_stand() {
        let mut document = json!({
            "routers": [{ "since-unix-ms": 1_795_341_600_000u64, "name": "a" }],
            "transitions": [{ "at": 5, "at-unix-ms": 1_795_341_600_001u64 }],
        });
        readable(&mut document);
        assert_eq!(
            document,
            json!({
                "routers": [{ "since": "2026-11-22T10:00:00.000Z", "name": "a" }],
                "transitions": [{ "at": "2026-11-22T10:00:00.001Z", "at-boottime-ns": 5 }],
            })
        );
    }

    #[test]
    fn no_clock_is_too_wrong_to_be_shown() {
        assert_eq!(rfc3339(Realtime(u64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(ago(Realtime(u64::MAX), SystemTime::now()), "0s");
    }
}
