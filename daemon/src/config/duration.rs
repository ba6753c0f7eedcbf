//! Durations with their units, for the configuration and the command line.

use std::time::Duration;

use humantime::DurationError;

/// What a duration looks like.
pub(crate) const EXPECTED: &str = "a duration with its unit, such as \"2s\" or \"100ms\"";

/// Reads a duration such as `2s` or `1m 30s`.
///
/// # Errors
/// What is wrong with it: a sentence without a full stop.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| {
        let why = match error {
            DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
                "its unit is missing".to_owned()
            }
            DurationError::UnknownUnit { unit, .. } => format!(
                "there is no unit \"{}\", but us, ms, s, m, h and days",
                unit.escape_default()
            ),
            DurationError::NumberOverflow => "it is too long or too precise".to_owned(),
            DurationError::InvalidCharacter(_)
            | DurationError::NumberExpected(_)
            | DurationError::Empty => {
                return format!("\"{}\" is no duration", text.escape_default());
            }
        };
        format!("\"{}\" is no duration: {why}", text.escape_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, why) in [
            ("1", "\"1\" is no duration: its unit is missing"),
            (
                "1 sekunde",
                "\"1 sekunde\" is no duration: there is no unit \"sekunde\", but us, ms, s, m, h and days",
            ),
            ("", "\"\" is no duration"),
            ("-1s", "\"-1s\" is no duration"),
            (
                "99999999999999999999s",
                "\"99999999999999999999s\" is no duration: it is too long or too precise",
            ),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()));
        }
        assert_eq!(parse("1m 30s"), Ok(Duration::from_secs(90)));
    }
}
