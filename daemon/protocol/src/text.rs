//! Text of plugins.

/// Whether a character does something to a terminal or a line instead of being shown: control characters, line and
/// paragraph separators, and what changes the direction of writing.
#[must_use]
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}
