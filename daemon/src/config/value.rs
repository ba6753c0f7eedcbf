//! A value of a configuration file, read as what it should be.
//!
//! Each method reports a value of the wrong type or out of its range and answers `None`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use mainstay_protocol::nearest;
use toml::de::DeValue;

use super::duration;
use super::table::{Spot, Table};

/// A value and where it stands.
pub(super) struct Value<'a> {
    /// Where it stands.
    pub(super) spot: Spot<'a>,
    content: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// A value that stands there.
    pub(super) fn new(spot: Spot<'a>, content: &'a DeValue<'a>) -> Self {
        Self { spot, content }
    }

    /// The value as it was parsed.
    pub(super) fn content(&self) -> &'a DeValue<'a> {
        self.content
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.content.as_str();
        if text.is_none() {
            self.wrong_type("a text in quotes");
        }
        text
    }

    /// A name for something: what fits in a log line, a metric and a path of a status document.
    pub(super) fn name(&self) -> Option<&'a str> {
        const LONGEST: usize = 64;
        let name = self.text()?;
        let odd = |c: char| !(c.is_alphanumeric() || "._-:".contains(c));
        if name.is_empty() || name.len() > LONGEST || name.contains(odd) {
            self.spot.error(
                format!("\"{}\" cannot be a name", name.escape_default()),
                Some(format!(
                    "a name has 1 to {LONGEST} letters, digits, dots, colons, dashes or underscores"
                )),
            );
            return None;
        }
        Some(name)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        let flag = self.content.as_bool();
        if flag.is_none() {
            self.wrong_type("true or false");
        }
        flag
    }

    /// A whole number within a range.
    pub(super) fn number<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = self.content.as_integer() else {
            self.wrong_type(&expected);
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            self.spot
                .error(format!("{integer} is out of range"), Some(expected));
        }
        number
    }

    /// A duration with its unit, within a range.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let Some(text) = self.content.as_str() else {
            self.wrong_type(duration::EXPECTED);
            return None;
        };
        let duration = match duration::parse(text) {
            // "0" is the one number that the library takes without a unit; so do we.
            Ok(duration) => duration,
            Err(message) => {
                self.spot
                    .error(message, Some(format!("expected {}", duration::EXPECTED)));
                return None;
            }
        };
        if !range.contains(&duration) {
            self.spot.error(
                format!("{} is out of range", humantime::format_duration(duration)),
                Some(format!(
                    "from {} to {}",
                    humantime::format_duration(*range.start()),
                    humantime::format_duration(*range.end())
                )),
            );
            return None;
        }
        Some(duration)
    }

    /// A size with its unit, within a range, in bytes.
    pub(super) fn size(&self, range: RangeInclusive<ByteSize>) -> Option<u64> {
        const EXPECTED: &str = "a size with its unit, such as \"64MiB\"";
        let Some(text) = self.content.as_str() else {
            self.wrong_type(EXPECTED);
            return None;
        };
        let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        let Some(size) = text.parse::<ByteSize>().ok().filter(|_| has_unit) else {
            self.spot.error(
                format!("\"{}\" is no size", text.escape_default()),
                Some(format!("expected {EXPECTED}")),
            );
            return None;
        };
        if !range.contains(&size) {
            self.spot.error(
                format!("{size} is out of range"),
                Some(format!("from {} to {}", range.start(), range.end())),
            );
            return None;
        }
        Some(size.as_u64())
    }

    /// A path; a relative one starts from the directory of the file that it stands in.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') {
            self.spot.error("this is no path", None);
            return None;
        }
        Some(self.spot.directory().join(text))
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        let expected = words()
            .map(|word| format!("\"{word}\""))
            .collect::<Vec<_>>()
            .join(" or ");
        let Some(text) = self.content.as_str() else {
            self.wrong_type(&expected);
            return None;
        };
        let choice = choices.iter().find(|(word, _)| *word == text);
        if choice.is_none() {
            let help = match nearest(text, words()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("expected {expected}"),
            };
            self.spot.error(
                format!("\"{}\" cannot stand here", text.escape_default()),
                Some(help),
            );
        }
        choice.map(|(_, value)| *value)
    }

    /// The elements of an array.
    pub(super) fn elements(&self) -> Option<Vec<Self>> {
        let Some(array) = self.content.as_array() else {
            self.wrong_type("a list in brackets");
            return None;
        };
        let elements = array.iter().enumerate().map(|(index, element)| {
            Self::new(
                self.spot.element(index, element.span().start),
                element.get_ref(),
            )
        });
        Some(elements.collect())
    }

    /// The elements of an array, each read by `read`; those that it refuses are left out.
    pub(super) fn list<T>(&self, read: impl Fn(&Self) -> Option<T>) -> Vec<T> {
        let elements = self.elements().unwrap_or_default();
        elements.iter().filter_map(read).collect()
    }

    /// A table.
    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.content.as_table() {
            Some(table) => Some(Table::new(self.spot.clone(), table)),
            None => {
                self.wrong_type("a table");
                None
            }
        }
    }

    /// Reports that something else was expected.
    pub(super) fn wrong_type(&self, expected: &str) {
        let article = match self.content {
            DeValue::Integer(_) | DeValue::Array(_) => "an",
            _ => "a",
        };
        self.spot.error(
            format!("this is {article} {}", self.content.type_str()),
            Some(format!("expected {expected}")),
        );
    }
}
