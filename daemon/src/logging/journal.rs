//! journald's native protocol: one datagram per entry, a line per field.

use std::env;
use std::fmt::{Debug, Write as _};
use std::io::{self, stderr};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::queue::{Queue, REASON, Sink};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Bytes of a field; with the few fields of an event, an entry stays below the queue's limit.
const FIELD_LIMIT: usize = 4 << 10;

/// Whether standard error is journald's, so that its lines can go there with their fields
/// (`JOURNAL_STREAM`, systemd.exec(5)).
pub(crate) fn is_standard_error() -> bool {
    let Ok(announced) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(stderr()).is_ok_and(|stat| announced == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Turns events into entries and queues them.
#[derive(Debug)]
pub(crate) struct JournalLayer {
    queue: Queue,
}

impl JournalLayer {
    /// A layer in front of a queue into a [`JournalSink`].
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue }
    }
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut entry = Vec::with_capacity(512);
        append(&mut entry, "PRIORITY", priority(*metadata.level()));
        append(&mut entry, "SYSLOG_IDENTIFIER", "mainstay");
        append(&mut entry, "MAINSTAY_TARGET", metadata.target());
        append(&mut entry, "MESSAGE", &(fields.message + &fields.shown));
        for (name, value) in &fields.named {
            append(&mut entry, name, value);
        }
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            append(&mut entry, "CODE_FILE", file);
            append(&mut entry, "CODE_LINE", &line.to_string());
        }
        self.queue.push(entry);
    }
}

/// The fields of an event: as fields of their own, and behind the message for people.
#[derive(Default)]
struct Fields {
    message: String,
    shown: String,
    named: Vec<(String, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let _ = write!(self.shown, " {}={value}", field.name());
        let name = field.name().to_ascii_uppercase();
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        self.named.push((format!("MAINSTAY_{name}"), value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, format!("{value:?}"));
    }
}

fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// `NAME=value`, or with line feeds `NAME`, the length in eight bytes and the value.
fn append(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = &value[..value.floor_char_boundary(FIELD_LIMIT)];
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

/// Datagrams to journald. Blocks while journald doesn't read.
#[derive(Debug)]
pub(crate) struct JournalSink {
    socket: UnixDatagram,
    path: PathBuf,
}

impl JournalSink {
    /// To the system's journal.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub(crate) fn system() -> io::Result<Self> {
        Self::to(Path::new(SOCKET))
    }

    /// To a journal that listens at this path.
    ///
    /// # Errors
    /// As [`Self::system`].
    pub(crate) fn to(path: &Path) -> io::Result<Self> {
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            path: path.to_owned(),
        })
    }
}

impl Sink for JournalSink {
    fn write(&mut self, entry: &[u8]) -> io::Result<()> {
        // By path each time, since a journald that was restarted may have a new socket.
        self.socket.send_to(entry, &self.path).map(drop)
    }

    fn tell_dropped(&mut self, count: u64) -> io::Result<()> {
        let mut entry = Vec::new();
        append(&mut entry, "PRIORITY", priority(Level::WARN));
        append(&mut entry, "SYSLOG_IDENTIFIER", "mainstay");
        let message = format!("{count} log lines were dropped: {REASON}");
        append(&mut entry, "MESSAGE", &message);
        append(&mut entry, "MAINSTAY_DROPPED", &count.to_string());
        self.write(&entry)
    }
}
