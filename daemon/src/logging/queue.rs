//! A bounded queue with a thread of its own behind it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Entries that wait, at most.
pub(crate) const CAPACITY: usize = 1024;

/// Bytes of an entry; more are cut, so that the queue is bounded in bytes as well.
pub(crate) const ENTRY_LIMIT: usize = 16 << 10;

/// Why entries are dropped, for people.
pub(crate) const REASON: &str = "nobody took them in time";

/// Where the thread writes. May block for as long as it likes.
pub(crate) trait Sink: Send + 'static {
    /// Writes one entry.
    ///
    /// # Errors
    /// When the entry is lost; the next one may fare better.
    fn write(&mut self, entry: &[u8]) -> io::Result<()>;

    /// Tells that `count` entries were dropped before the next one.
    ///
    /// # Errors
    /// As [`Self::write`].
    fn tell_dropped(&mut self, count: u64) -> io::Result<()>;
}

/// The writing end: cheap to clone, never blocks.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Entry>,
    dropped: Arc<Dropped>,
}

#[derive(Debug, Default)]
struct Dropped {
    ever: AtomicU64,
    untold: AtomicU64,
}

impl Dropped {
    fn one_more(&self) {
        self.ever.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

impl Queue {
    /// A queue into this sink.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(sink: impl Sink) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let dropped = Arc::new(Dropped::default());
        let told = Arc::clone(&dropped);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, &told, sink))?;
        Ok(Self { sender, dropped })
    }

    /// Appends an entry, or counts it as dropped when there is no room.
    pub(crate) fn push(&self, mut entry: Vec<u8>) {
        entry.truncate(ENTRY_LIMIT);
        if self.sender.try_send(Entry::Line(entry)).is_err() {
            self.dropped.one_more();
        }
    }

    /// Entries dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.ever.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, for `limit` at most.
    pub(crate) fn flush(&self, limit: Duration) {
        let (written, told) = sync_channel(1);
        let sender = self.sender.clone();
        // The queue may be full and the sink stuck: then this thread ends with the process.
        let thread = thread::Builder::new().spawn(move || {
            let _ = sender.send(Entry::Flush(written));
        });
        if thread.is_ok() {
            let _ = told.recv_timeout(limit);
        }
    }
}

/// One write is one line, as `tracing_subscriber::fmt` does it.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(entries: &Receiver<Entry>, dropped: &Dropped, mut sink: impl Sink) {
    for entry in entries {
        let untold = dropped.untold.swap(0, Ordering::Relaxed);
        if untold > 0 && sink.tell_dropped(untold).is_err() {
            dropped.untold.fetch_add(untold, Ordering::Relaxed);
        }
        match entry {
            Entry::Line(line) => {
                if sink.write(&line).is_err() {
                    dropped.one_more();
                }
            }
            Entry::Flush(written) => drop(written.send(())),
        }
    }
}

/// Lines of text into a stream.
#[derive(Debug)]
pub(crate) struct WriteSink<W>(pub(crate) W);

impl<W: Write + Send + 'static> Sink for WriteSink<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.write_all(line)?;
        if line.ends_with(b"\n") {
            return Ok(());
        }
        self.0.write_all(b"\n")
    }

    fn tell_dropped(&mut self, count: u64) -> io::Result<()> {
        writeln!(self.0, "{count} log lines were dropped: {REASON}")
    }
}
