//! Whatever the file contains, it is answered and nothing breaks.

use proptest::prelude::*;

use super::*;

/// Pieces from which TOML that is nearly right is put together.
const PIECES: &[&str] = &[
    "[[router]]",
    "[[check]]",
    "[[plugin]]",
    "[[hook]]",
    "[plugins]",
    "[plugin.limits]",
    "[plugin.permissions.process]",
    "name",
    "interface",
    "id",
    "version",
    "priority",
    "advert-interval",
    "auth",
    "addresses",
    "track",
    "settings",
    "interval",
    "timeout",
    "include",
    "permissions",
    "limits",
    "sha256",
    "file",
    " = ",
    ".",
    ",",
    "\n",
    "\n",
    "\n",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\"\"",
    "1",
    "-1",
    "0x7fffffffffffffff",
    "nan",
    "-inf",
    "true",
    "1979-05-27",
    "\"1s\"",
    "\"10.0.0.1/24\"",
    "\"process\"",
    "\"a\"",
    "\"é\"",
    "'''",
    "#",
];

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let fixture = Fixture::new(&text);
        if let Err(errors) = fixture.load() {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn anything_like_toml_is_answered(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60),
    ) {
        let fixture = Fixture::new(&pieces.concat());
        if let Err(errors) = fixture.load() {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn a_good_file_with_one_piece_replaced_is_answered(
        at in 0..INTRODUCTION.len(),
        length in 0..20usize,
        piece in proptest::sample::select(PIECES),
    ) {
        let end = (at + length).min(INTRODUCTION.len());
        let text = format!("{}{piece}{}", &INTRODUCTION[..at], &INTRODUCTION[end..]);
        let fixture = Fixture::new(&text);
        if let Err(errors) = fixture.load() {
            prop_assert!(!errors.is_empty());
        }
    }
}

/// The places of a long line, and of the end of a file, are where an editor shows them.
#[test]
fn places_are_told_in_characters() {
    let padding = "é".repeat(1000);
    for (text, place) in [
        (format!("node = \"{padding}\", x"), "mainstay.toml:1:1010: "),
        (format!("# {padding}\n\n  nope = 1"), "mainstay.toml:3:3: "),
        (
            format!("{}[", "#".repeat(255) + "\n"),
            "mainstay.toml:2:2: ",
        ),
    ] {
        let errors = Fixture::new(&text).errors();
        assert!(
            errors.iter().any(|error| error.starts_with(place)),
            "{errors:?}"
        );
    }
}

/// Each takes minutes when something in it is counted anew for each of its parts.
#[test]
fn large_and_deep_files_are_answered() {
    let long = format!("settings = {{ x = [{}] }}", "1,".repeat(100_000));
    for text in [
        format!("a = {}", "[".repeat(200_000)),
        format!("{} = 1", vec!["a"; 200_000].join(".")),
        format!("[{}]", vec!["a"; 200_000].join(".")),
        format!("a = {}", "{a=".repeat(200_000)),
        "[[router]]\n".repeat(20_000),
        format!("x = [{}]", "1,".repeat(400_000)),
        format!("[[check]]\nname = \"a\"\n{long}"),
    ] {
        assert!(!Fixture::new(&text).errors().is_empty());
    }
}
