//! Frames to and from one worker.

use std::io;
use std::time::Duration;

use mainstay_protocol::frame::{self, FrameError};
use mainstay_protocol::{FromWorker, ToWorker, VERSION};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Bytes that may wait for the worker to read them. One that is behind this far is lost.
const OUTGOING_LIMIT: usize = 8 << 20;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// How long a worker may take to say hello.
pub(super) const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// A connection to a worker. Sending never waits: what the socket doesn't take is kept, and written
/// while [`Self::next`] waits for frames.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Connection {
    /// A connection over this stream.
    ///
    /// # Errors
    /// When the stream can't be watched by the runtime.
    pub(super) fn new(stream: std::os::unix::net::UnixStream) -> Result<Self, ConnectionError> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(stream)?,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    /// Waits for the worker's first frame. Answers with its build and process id.
    ///
    /// # Errors
    /// [`ConnectionError::Version`] for a worker of another version, [`ConnectionError::Mute`] for
    /// one that says nothing in time, and as [`Self::next`].
    pub(super) async fn hello(&mut self) -> Result<(String, u32), ConnectionError> {
        match tokio::time::timeout(HELLO_LIMIT, self.next()).await {
            Err(_) => Err(ConnectionError::Mute),
            Ok(Err(error)) => Err(error),
            Ok(Ok(FromWorker::Hello {
                version: VERSION,
                build,
                pid,
            })) => Ok((build, pid)),
            Ok(Ok(FromWorker::Hello { version, build, .. })) => {
                Err(ConnectionError::Version { version, build })
            }
            Ok(Ok(_)) => Err(ConnectionError::Unexpected),
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`ConnectionError::Behind`] when too much waits already, [`ConnectionError::Frame`] when the
    /// message is too long.
    pub(super) fn send(&mut self, message: &ToWorker) -> Result<(), ConnectionError> {
        let frame = frame::encode(message)?;
        if self.outgoing.len() + frame.len() > OUTGOING_LIMIT {
            return Err(ConnectionError::Behind);
        }
        self.outgoing.extend(frame);
        self.write()
    }

    /// The next message. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`ConnectionError::Closed`] when the worker ended the connection, and whatever else keeps
    /// frames from coming.
    pub(super) async fn next(&mut self) -> Result<FromWorker, ConnectionError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            let interest = if self.outgoing.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() {
                self.write()?;
            }
            if ready.is_readable() {
                self.read()?;
            }
        }
    }

    /// Whether the worker has sent anything that was not yet looked at, its end included.
    pub(super) fn has_more(&mut self) -> bool {
        let before = self.incoming.len();
        self.read().is_err() || self.incoming.len() > before
    }

    /// A whole frame of what was read.
    fn take(&mut self) -> Result<Option<FromWorker>, ConnectionError> {
        let Some((prefix, rest)) = self.incoming.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = frame::body_length(*prefix)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = frame::decode(body)?;
        self.incoming.drain(..4 + length);
        Ok(Some(message))
    }

    fn read(&mut self) -> Result<(), ConnectionError> {
        let length = self.incoming.len();
        self.incoming.resize(length + CHUNK, 0);
        let result = self.stream.try_read(&mut self.incoming[length..]);
        let read = *result.as_ref().unwrap_or(&0);
        self.incoming.truncate(length + read);
        match result {
            Ok(0) => Err(ConnectionError::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self) -> Result<(), ConnectionError> {
        while !self.outgoing.is_empty() {
            match self.stream.try_write(&self.outgoing) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Why a worker can't be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// It ended the connection.
    #[error("it ended the connection")]
    Closed,
    /// It said nothing in time.
    #[error("it said nothing within {} s", HELLO_LIMIT.as_secs())]
    Mute,
    /// It has stopped to answer.
    #[error("it owes an answer")]
    Overdue,
    /// It said something else than hello.
    #[error("it is no plugin worker: its first frame is no hello")]
    Unexpected,
    /// It is of another version.
    #[error(
        "it speaks version {version} of the frames ({build}), this daemon version {VERSION}: \
         install both from the same build"
    )]
    Version {
        /// Its version.
        version: u32,
        /// Its build.
        build: String,
    },
    /// It doesn't read.
    #[error("it doesn't read what it is sent")]
    Behind,
    /// It sent something that is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}
