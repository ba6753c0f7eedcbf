//! What is wrong with a configuration, where, and what to do about it.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// A fault in a configuration, or something that somebody should look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// Whether it keeps the configuration from being used.
    pub(crate) severity: Severity,
    /// Where it stands.
    pub(crate) place: Place,
    /// The key it is about, such as `router[0].track[1].weight`; empty for a whole file.
    pub(crate) key: String,
    /// What is wrong, one sentence without a full stop.
    pub(crate) message: String,
    /// What was expected or what to do, when the message does not say it already.
    pub(crate) help: Option<String>,
}

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Severity {
    /// It does.
    Error,
    /// It does not, unless the operator asked for strictness.
    Warning,
}

/// A place in a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    /// The file, as it was named.
    pub(crate) file: PathBuf,
    /// Line and column, both from 1, the column in characters; `None` for the file as a whole.
    pub(crate) position: Option<(usize, usize)>,
}

impl Problem {
    /// A problem with a file as a whole.
    pub(crate) fn of_file(file: PathBuf, message: String, help: Option<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: Place {
                file,
                position: None,
            },
            key: String::new(),
            message,
            help,
        }
    }
}

impl fmt::Display for Problem {
    /// One line: `FILE:LINE:COLUMN: KEY: what is wrong; what to do`. The alternate form leaves out
    /// that it is a warning, for a log that says so itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if self.severity == Severity::Warning && !f.alternate() {
            f.write_str("warning: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.position {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// The problems found so far. Shared by everything that reads, so that reading goes on after one.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds one.
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Adds these.
    pub(super) fn extend(&self, problems: impl IntoIterator<Item = Problem>) {
        self.0.borrow_mut().extend(problems);
    }

    /// All of them, in the order of files and lines: errors, and warnings. Strictness makes
    /// errors of the warnings.
    pub(super) fn into_errors_and_warnings(self, strict: bool) -> (Vec<Problem>, Vec<Problem>) {
        let mut all = self.0.into_inner();
        if strict {
            for problem in &mut all {
                problem.severity = Severity::Error;
            }
        }
        all.sort_by(|a, b| a.place.cmp(&b.place));
        all.into_iter()
            .partition(|problem| problem.severity == Severity::Error)
    }
}
