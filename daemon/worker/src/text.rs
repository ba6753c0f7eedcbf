//! Text of a plugin made fit for a log: one line, no control characters, of bounded length.

pub(crate) use mainstay_protocol::is_key;
use mainstay_protocol::steers;

/// Escapes what could break a line or steer a terminal and cuts the result to `limit` bytes.
///
/// Control characters, line and paragraph separators and bidirectional controls become `\n`,
/// `\u{1b}` and so on. An escape or a character that does not fit whole is left out, and so is
/// everything after it.
#[must_use]
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        if steers(character) {
            let escape = character.escape_default();
            if line.len() + escape.len() > limit {
                break;
            }
            line.extend(escape);
        } else {
            if line.len() + character.len_utf8() > limit {
                break;
            }
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_line_stays_one_line() {
        assert_eq!(
            one_line("x\n<0>kernel: y\x1b[2J\u{202e}z", 100),
            "x\\n<0>kernel: y\\u{1b}[2J\\u{202e}z"
        );
    }

    #[test]
    fn cutting_splits_neither_character_nor_escape() {
        assert_eq!(one_line("aé", 2), "a");
        assert_eq!(one_line("aé", 3), "aé");
        assert_eq!(one_line("a\nb", 2), "a");
    }

    #[test]
    fn keys_are_the_contracts() {
        assert!(is_key("tcp.rtt_us-1"));
        for key in ["", "Upper", "with space", "é", &"x".repeat(65)] {
            assert!(!is_key(key), "{key}");
        }
    }
}
