//! Frames to and from one worker.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use mainstay_protocol::carrier::{self, Descriptors};
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
    /// What was read; frames up to `taken` have been given out.
    incoming: Vec<u8>,
    taken: usize,
    /// Where the stream is read to.
    buffer: Box<[u8]>,
    descriptors: Descriptors,
    /// That of the message that came last.
    carried: Option<OwnedFd>,
    outgoing: VecDeque<Outgoing>,
    /// Bytes of those frames, and how many of them still carry a descriptor.
    waiting: usize,
    carrying: usize,
}

/// A frame that the socket did not take yet.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Goes along with the first byte.
    carried: Option<OwnedFd>,
}

/// What a worker says of itself first.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) build: String,
    pub(super) engine: String,
    pub(super) pid: u32,
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
            taken: 0,
            buffer: vec![0; CHUNK].into(),
            descriptors: Descriptors::default(),
            carried: None,
            outgoing: VecDeque::new(),
            waiting: 0,
            carrying: 0,
        })
    }

    /// Waits for the worker's first frame.
    ///
    /// # Errors
    /// [`ConnectionError::Version`] for a worker of another version, [`ConnectionError::Mute`] for
    /// one that says nothing in time, and as [`Self::next`].
    pub(super) async fn hello(&mut self) -> Result<Hello, ConnectionError> {
        match tokio::time::timeout(HELLO_LIMIT, self.next()).await {
            Err(_) => Err(ConnectionError::Mute),
            Ok(Err(error)) => Err(error),
            Ok(Ok(FromWorker::Hello {
                version: VERSION,
                build,
                engine,
                pid,
            })) => Ok(Hello { build, engine, pid }),
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
        self.queue(message, None)
    }

    /// Queues a message that carries a descriptor.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn send_with(
        &mut self,
        message: &ToWorker,
        carried: impl Into<OwnedFd>,
    ) -> Result<(), ConnectionError> {
        self.queue(message, Some(carried.into()))
    }

    fn queue(
        &mut self,
        message: &ToWorker,
        carried: Option<OwnedFd>,
    ) -> Result<(), ConnectionError> {
        let bytes = frame::encode(message)?;
        if self.waiting + bytes.len() > OUTGOING_LIMIT {
            return Err(ConnectionError::Behind);
        }
        self.waiting += bytes.len();
        self.carrying += usize::from(carried.is_some());
        self.outgoing.push_back(Outgoing {
            bytes,
            sent: 0,
            carried,
        });
        self.write()
    }

    /// Descriptors that wait for the worker to take them.
    pub(super) fn carrying(&self) -> usize {
        self.carrying
    }

    /// What the message that came last has carried.
    pub(super) fn carried(&mut self) -> Option<OwnedFd> {
        self.carried.take()
    }

    /// The next message. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`ConnectionError::Closed`] when the worker ended the connection, and whatever else keeps
    /// frames from coming.
    pub(super) async fn next(&mut self) -> Result<FromWorker, ConnectionError> {
        loop {
            if let Some(message) = self.ready()? {
                return Ok(message);
            }
            self.more().await?;
        }
    }

    /// Waits until something could be read or written, and does that. Nothing is lost when the
    /// future is dropped.
    ///
    /// # Errors
    /// When the worker ended the connection, or it failed.
    pub(super) async fn more(&mut self) -> Result<(), ConnectionError> {
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
        Ok(())
    }

    /// The next message, if it is here already.
    ///
    /// # Errors
    /// As [`Self::next`], but for the end of the connection.
    pub(super) fn ready(&mut self) -> Result<Option<FromWorker>, ConnectionError> {
        let rest = &self.incoming[self.taken..];
        let Some((prefix, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = frame::body_length(*prefix)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message: FromWorker = frame::decode(body)?;
        self.taken += 4 + length;
        self.carried = match message.carries() {
            true => Some(self.descriptors.take().ok_or(ConnectionError::Unexpected)?),
            false => None,
        };
        Ok(Some(message))
    }

    /// Whether the worker has sent anything that was not yet looked at, its end included.
    pub(super) fn has_more(&mut self) -> bool {
        let before = self.incoming.len() - self.taken;
        self.read().is_err() || self.incoming.len() > before
    }

    fn read(&mut self) -> Result<(), ConnectionError> {
        self.incoming.drain(..self.taken);
        self.taken = 0;
        let (stream, buffer) = (&self.stream, &mut self.buffer);
        let result = stream.try_io(Interest::READABLE, || {
            self.descriptors.receive(stream, buffer)
        });
        match result {
            Ok(0) => Err(ConnectionError::Closed),
            Ok(read) => {
                self.incoming.extend_from_slice(&self.buffer[..read]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self) -> Result<(), ConnectionError> {
        while let Some(frame) = self.outgoing.front_mut() {
            let stream = &self.stream;
            let carried = frame.carried.as_ref().map(AsFd::as_fd);
            let result = stream.try_io(Interest::WRITABLE, || {
                carrier::send(stream, &frame.bytes[frame.sent..], carried)
            });
            match result {
                Ok(sent) => {
                    frame.sent += sent;
                    self.carrying -= usize::from(frame.carried.take().is_some());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
            if frame.sent == frame.bytes.len() {
                self.waiting -= frame.bytes.len();
                self.outgoing.pop_front();
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
    /// It said something else than what comes at this point.
    #[error("it is no plugin worker: it says what none would say at this point")]
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
    /// It asks, or speaks, without measure.
    #[error("it says more than its plugins could")]
    Flood,
    /// It says what can't be.
    #[error("it speaks of {0}")]
    Lie(&'static str),
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

#[cfg(test)]
mod tests {
    use mainstay_protocol::Answer;

    use super::*;

    #[tokio::test]
    async fn a_worker_that_does_not_read_is_given_up_before_too_much_waits() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut connection = Connection::new(ours).unwrap();
        let message = ToWorker::Answer {
            id: 1,
            answer: Ok(Answer::Names {
                resolv_conf: "x".repeat(512 << 10),
                hosts: String::new(),
            }),
        };
        let mut sent = 0;
        let error = loop {
            match connection.send(&message) {
                Ok(()) => sent += 512 << 10,
                Err(error) => break error,
            }
            assert!(connection.waiting <= OUTGOING_LIMIT, "{sent}");
        };
        assert!(matches!(error, ConnectionError::Behind), "{error}");
        assert!(sent > OUTGOING_LIMIT / 2, "after {sent} bytes");
    }
}
