//! What is said of a key that does not exist: the same for the daemon's own keys and a plugin's.

/// What is wrong with an unknown key.
pub const UNKNOWN_KEY: &str = "there is no such key";

/// What to do about the unknown key `key` where only the keys `known` can stand.
#[must_use]
pub fn help_for_unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => "nothing can stand here".to_owned(),
        None => format!("what can stand here: {}", known.join(", ")),
    }
}

/// The candidate that somebody who wrote `word` may have meant.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_something_else() {
        let known = ["name", "pid-file", "unit"];
        for (key, help) in [
            ("nam", "did you mean \"name\"?"),
            ("pid_file", "did you mean \"pid-file\"?"),
            ("colour", "what can stand here: name, pid-file, unit"),
        ] {
            assert_eq!(help_for_unknown_key(key, &known), help);
        }
        assert_eq!(help_for_unknown_key("x", &[]), "nothing can stand here");
    }
}
