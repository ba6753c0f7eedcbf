//! Where log lines go: to journald with their fields under systemd, to standard error elsewhere,
//! and in both cases through a bounded queue, so that nobody who logs ever waits for who reads.

mod journal;
mod queue;

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use journal::{JournalLayer, JournalSink};
use queue::{Queue, WriteSink};

/// Names the filter when `--log` doesn't, such as `info,mainstay::worker=debug`.
const FILTER_VARIABLE: &str = "MAINSTAY_LOG";

/// How long the end of the process waits for the last lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The log of this process. The last lines are written when it is dropped.
#[derive(Debug)]
pub(crate) struct Logging {
    queue: Queue,
}

impl Logging {
    /// Sends every line of this process to the log, from now on. `filter` is a level, or
    /// `target=level` pairs with commas; without one `MAINSTAY_LOG` decides, and without that
    /// `info`.
    ///
    /// # Errors
    /// A filter that is none, a second log in one process, or no thread to be had.
    pub(crate) fn start(filter: Option<&str>) -> Result<Self, LoggingError> {
        let variable = env::var(FILTER_VARIABLE).ok();
        let text = filter.or(variable.as_deref()).unwrap_or("info");
        let filter: Targets = text.parse().map_err(|source| LoggingError::Filter {
            text: text.to_owned(),
            source,
        })?;
        let registry = tracing_subscriber::registry().with(filter);
        let queue = if journal::is_standard_error() {
            let queue = Queue::start(JournalSink::system()?)?;
            registry.with(JournalLayer::new(queue.clone())).try_init()?;
            queue
        } else {
            let queue = Queue::start(WriteSink(io::stderr()))?;
            let writer = queue.clone();
            let layer = fmt::layer()
                .with_ansi(io::stderr().is_terminal())
                .with_writer(move || writer.clone());
            registry.with(layer).try_init()?;
            queue
        };
        Ok(Self { queue })
    }

    /// Lines dropped so far because nobody read them in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.queue.flush(FLUSH_LIMIT);
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The filter can't be understood.
    #[error("the log filter `{text}` is none: write a level such as `debug`, or `mainstay=debug`")]
    Filter {
        /// The filter.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// There is a log already.
    #[error("the log can be started once only")]
    Twice(#[from] TryInitError),
    /// No thread or socket to be had.
    #[error("the log can't be started")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;
