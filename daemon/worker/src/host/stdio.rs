//! Standard output and error of a plugin, as lines of its log.
//!
//! An output stream of our own, not wasmtime's adapter: it buffers one line and nothing else.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use mainstay_protocol::LogLevel;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log::RunLog;
use crate::tally::lock;

/// Bytes that a guest may write in one call.
const CHUNK: usize = 4096;
/// The longest line kept; what exceeds it is passed over up to the next line.
const LINE: usize = 1024;

/// One output of a run. All streams that the guest opens on it fill the same line: a guest that
/// does not buffer opens one for each piece.
#[derive(Clone)]
pub(super) struct Output(Arc<Lines>);

impl Output {
    pub(super) fn stdout(log: &Arc<RunLog>) -> Self {
        Self::new(log, LogLevel::Info)
    }

    pub(super) fn stderr(log: &Arc<RunLog>) -> Self {
        Self::new(log, LogLevel::Warn)
    }

    fn new(log: &Arc<RunLog>, level: LogLevel) -> Self {
        Self(Arc::new(Lines {
            log: log.clone(),
            level,
            line: Mutex::default(),
        }))
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// Cuts a stream of bytes into lines. The last one may lack its newline.
struct Lines {
    log: Arc<RunLog>,
    level: LogLevel,
    line: Mutex<Vec<u8>>,
}

impl Lines {
    fn take(&self, bytes: &[u8]) {
        let mut line = lock(&self.line);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                self.emit(&mut line);
            }
        }
    }

    fn emit(&self, line: &mut Vec<u8>) {
        if !line.is_empty() {
            self.log
                .add(self.level, &String::from_utf8_lossy(line), &[]);
            line.clear();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut line = std::mem::take(&mut *lock(&self.line));
        self.emit(&mut line);
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::LogBudget;
    use super::*;

    #[test]
    fn output_becomes_bounded_lines() {
        let log = Arc::new(RunLog::new(Arc::new(LogBudget::new(60)), Arc::default()));
        let output = Output::stdout(&log);
        for piece in [&b"one\ntw"[..], b"o\n\n", &[b'x'; 5000], b"\nrest"] {
            output
                .p2_stream()
                .write(Bytes::copy_from_slice(piece))
                .unwrap();
        }
        drop(output);
        let lines: Vec<String> = log.take().into_iter().map(|l| l.message).collect();
        assert_eq!(lines, ["one", "two", &"x".repeat(LINE), "rest"]);
    }
}
