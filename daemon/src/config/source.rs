//! The text of a configuration file, and where in it something stands.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::problem::{Place, Problem, Problems, Severity};
use super::table::{Spot, Table};

/// The longest file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Bytes between two known counts of characters.
const STEP: usize = 256;

/// A file that has been read.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
    /// Characters before each [`STEP`]th byte, so that a column in a long line is quickly told.
    characters: Vec<usize>,
    readable_by_others: bool,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// A problem with the file as a whole: it cannot be read, is not a file, is too long, is not
    /// UTF-8, or can be changed by anyone.
    pub(super) fn read(path: &Path) -> Result<Self, Box<Problem>> {
        let problem = |message: String, help: Option<&str>| {
            let help = help.map(str::to_owned);
            Box::new(Problem::of_file(path.to_owned(), message, help))
        };
        let unreadable = |error: std::io::Error| problem(format!("cannot be read: {error}"), None);

        // Looked at before it is opened: opening a pipe would wait for its other end.
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(problem("is not a file".to_owned(), None));
        }
        let mode = metadata.permissions().mode();
        if mode & 0o002 != 0 {
            return Err(problem(
                "can be changed by any user, and so could what runs here".to_owned(),
                Some("take that right away with chmod o-w"),
            ));
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > LIMIT {
            return Err(problem(
                format!("is longer than {LIMIT} bytes"),
                Some("split it with include"),
            ));
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| problem(format!("is not UTF-8: {error}"), None))?;
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(offset, _)| offset + 1));
        let characters = text.as_bytes().chunks(STEP).scan(0, |count, chunk| {
            let before = *count;
            *count += characters(chunk);
            Some(before)
        });
        Ok(Self {
            path: path.to_owned(),
            lines: lines.collect(),
            characters: characters.collect(),
            text,
            readable_by_others: mode & 0o004 != 0,
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Parses the text, reporting every fault of its syntax; `None` when there was one.
    pub(super) fn parse(&self, problems: &Problems) -> Option<DeTable<'_>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            problems.add(self.fault(offset, error.message().replace('\n', ", ")));
        }
        errors.is_empty().then(|| table.into_inner())
    }

    /// The top level of the parsed text.
    pub(super) fn root<'a>(&'a self, table: &'a DeTable<'a>, problems: &'a Problems) -> Table<'a> {
        Table::new(Spot::new(self, problems), table)
    }

    /// The directory that relative paths in this file start from.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }

    /// Whether every user of this machine can read it.
    pub(super) fn readable_by_others(&self) -> bool {
        self.readable_by_others
    }

    /// Line and column of a byte of the text.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line.saturating_sub(1)];
        let column = self.characters_before(offset) - self.characters_before(start) + 1;
        Place {
            file: self.path.clone(),
            position: Some((line, column)),
        }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let whole = offset / STEP;
        let rest = &self.text.as_bytes()[whole * STEP..offset];
        // The end of a text that fills its last chunk has no entry.
        match self.characters.get(whole) {
            Some(before) => before + characters(rest),
            None => characters(self.text.as_bytes()),
        }
    }

    fn fault(&self, offset: usize, message: String) -> Problem {
        Problem {
            severity: Severity::Error,
            place: self.place(offset),
            key: String::new(),
            message,
            help: None,
        }
    }
}

/// Characters that begin in these bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}
