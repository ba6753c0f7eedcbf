//! A table of a configuration file, read key by key.
//!
//! Whoever reads a table takes the keys that it knows; [`Table::finish`] reports the others. So the
//! keys of a table stand in one place, the code that reads them, and one wrong value does not hide
//! the next.

use std::path::Path;

use mainstay_protocol::{UNKNOWN_KEY, help_for_unknown_key};
use toml::de::DeTable;

use super::keepalived;
use super::problem::{Place, Problem, Problems, Severity};
use super::source::Source;
use super::value::Value;

/// A place in a file together with the key that stands there: where a problem is reported.
#[derive(Clone)]
pub(super) struct Spot<'a> {
    source: &'a Source,
    problems: &'a Problems,
    offset: usize,
    key: String,
}

impl<'a> Spot<'a> {
    /// The beginning of a file.
    pub(super) fn new(source: &'a Source, problems: &'a Problems) -> Self {
        Self {
            source,
            problems,
            offset: 0,
            key: String::new(),
        }
    }

    /// Reports what is wrong here and, when that is not obvious, what to do.
    pub(super) fn error(&self, message: impl Into<String>, help: Option<String>) {
        self.report(Severity::Error, message.into(), help);
    }

    /// Reports something that somebody should look at.
    pub(super) fn warn(&self, message: impl Into<String>, help: Option<String>) {
        self.report(Severity::Warning, message.into(), help);
    }

    /// Where this is.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.offset)
    }

    /// The key, with the tables that it is in.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The directory that relative paths start from here.
    pub(super) fn directory(&self) -> &'a Path {
        self.source.directory()
    }

    /// Whether every user of this machine can read what stands here.
    pub(super) fn readable_by_others(&self) -> bool {
        self.source.readable_by_others()
    }

    /// A key in the table that stands here.
    pub(super) fn member(&self, key: &str, offset: usize) -> Self {
        let separator = if self.key.is_empty() { "" } else { "." };
        Self {
            offset,
            key: format!("{}{separator}{key}", self.key),
            ..self.clone()
        }
    }

    /// An element of the array that stands here.
    pub(super) fn element(&self, index: usize, offset: usize) -> Self {
        Self {
            offset,
            key: format!("{}[{index}]", self.key),
            ..self.clone()
        }
    }

    fn report(&self, severity: Severity, message: String, help: Option<String>) {
        self.problems.add(Problem {
            severity,
            place: self.place(),
            key: self.key.clone(),
            message,
            help,
        });
    }
}

/// A table that is being read.
pub(super) struct Table<'a> {
    /// Where it begins.
    pub(super) spot: Spot<'a>,
    content: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// A table, with nothing read of it yet.
    pub(super) fn new(spot: Spot<'a>, content: &'a DeTable<'a>) -> Self {
        Self {
            spot,
            content,
            known: Vec::new(),
        }
    }

    /// The value of a key, when it is there. From now on the key is a known one.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (name, value) = self.content.get_key_value(key)?;
        // Tables made by headers or dotted keys have no text of their own, so the key counts.
        let offset = if value.get_ref().is_table() || value.get_ref().is_array() {
            name.span().start
        } else {
            value.span().start
        };
        Some(Value::new(self.spot.member(key, offset), value.get_ref()))
    }

    /// The value of a key that has to be there; reports it when it is not.
    pub(super) fn require(&mut self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.spot.error(
                format!("the key \"{key}\" is missing"),
                Some(format!("for example {key} = {example}")),
            );
        }
        value
    }

    /// The table under a key, when it is there and a table.
    pub(super) fn take_table(&mut self, key: &'static str) -> Option<Self> {
        self.take(key)?.table()
    }

    /// The elements of the list under a key, each read by `read`; none when the key is not there.
    pub(super) fn take_list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Vec<T> {
        self.take(key)
            .map_or_else(Vec::new, |value| value.list(read))
    }

    /// The tables of an array of tables; none when the key is not there.
    pub(super) fn take_tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        if value.content().as_array().is_none() {
            value.wrong_type(&format!("[[{key}]], which may stand more than once"));
            return Vec::new();
        }
        value.list(Value::table)
    }

    /// The text of a key, when it is one; neither takes the key nor reports anything.
    pub(super) fn text_of(&self, key: &str) -> Option<&'a str> {
        self.content.get(key)?.get_ref().as_str()
    }

    /// Reports every key that nobody has taken.
    pub(super) fn finish(self) {
        for (name, _) in self.content {
            let key: &str = name.get_ref();
            if self.known.contains(&key) {
                continue;
            }
            let help = keepalived::in_place_of(key)
                .unwrap_or_else(|| help_for_unknown_key(key, &self.known));
            self.spot
                .member(key, name.span().start)
                .error(UNKNOWN_KEY, Some(help));
        }
    }
}
