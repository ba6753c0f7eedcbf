//! The commands, one file each. A command prints what it was asked for on standard output, and
//! what went wrong on standard error.

pub(crate) mod explain;
pub(crate) mod metrics;
pub(crate) mod plugin;
pub(crate) mod release;
pub(crate) mod reload;
pub(crate) mod run;
pub(crate) mod status;
mod text;
mod times;
pub(crate) mod validate;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::Problem;
use crate::control::client::{self, ClientError};
use crate::control::{Request, Response};
use crate::exit;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    /// A failure with its exit code, as one plain sentence that says what to do next.
    pub(crate) fn new(code: u8, message: impl Display) -> Self {
        Self {
            code,
            lines: vec![format!("mainstay: {message}")],
        }
    }

    /// Everything that is wrong with a configuration, in the order of files and lines.
    fn of_problems(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        Self {
            code: exit::CONFIG,
            lines: problems.iter().map(ToString::to_string).collect(),
        }
    }

    /// Prints it; answers with its exit code.
    pub(crate) fn report(self) -> ExitCode {
        let mut stderr = io::stderr().lock();
        for line in self.lines {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(stderr, "{line}");
        }
        ExitCode::from(self.code)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::Denied { .. } => exit::NOT_PERMITTED,
            ClientError::NotRunning { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Failed { .. } => exit::UNAVAILABLE,
        };
        Self::new(code, error)
    }
}

/// Asks the daemon; a refusal becomes a failure with this code.
fn ask(runtime_dir: &Path, request: &Request, refused: u8) -> Result<Response, Failure> {
    match client::request(runtime_dir, request)? {
        Response::Failed { message, details } => {
            let mut failure = Failure::new(refused, message);
            failure.lines.extend(details);
            Err(failure)
        }
        response => Ok(response),
    }
}

/// The daemon answered something else than was asked.
fn misunderstood() -> Failure {
    Failure::new(
        exit::UNAVAILABLE,
        "the daemon answered something else: is it of another version? restart it",
    )
}

/// Prints a result. A reader that went away, as in `mainstay status | head`, is no failure.
fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            exit::IO,
            format!("the output could not be written: {error}"),
        )),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// Prints a result as JSON.
fn print_json(document: &impl serde::Serialize) -> Result<ExitCode, Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(exit::SOFTWARE, error))?;
    print(&format!("{text}\n"))
}
