//! Frames on the control stream, for tasks: one reader, any number of writers.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mainstay_protocol::carrier::Descriptors;
use mainstay_protocol::frame::{self, FrameError};
use mainstay_protocol::{FromWorker, ToWorker};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc};

/// Frames that wait between the reader and the session, at most.
const INBOX: usize = 64;
/// Bytes read at a time.
const CHUNK: usize = 16 << 10;

/// The sending side, shared by all tasks.
///
/// A frame is in the kernel's buffer when [`send`](Self::send) returns, so what was announced is
/// known to the daemon even if this process ends in the next instant.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Mutex<OwnedWriteHalf>>);

impl Outbox {
    /// Sends to the daemon on `stream`.
    #[must_use]
    pub(crate) fn new(stream: OwnedWriteHalf) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Sends one frame, waiting while the daemon does not read.
    ///
    /// Must not be cancelled half-way. Errors of the stream are left to the reader, which sees the
    /// end of the same stream and ends the worker; a frame over the limit is left out and said so
    /// on stderr.
    pub(crate) async fn send(&self, message: &FromWorker) {
        match frame::encode(message) {
            Ok(bytes) => {
                let _ = self.0.lock().await.write_all(&bytes).await;
            }
            Err(error) => eprintln!("mainstay-worker: a frame is left out: {error}"),
        }
    }
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What it says.
    pub(crate) message: ToWorker,
    /// The descriptor that came along, if it carries one.
    pub(crate) carried: Option<OwnedFd>,
}

/// Reads frames until the stream ends. The channel closes at the end of the stream; an error is
/// its last item.
pub(crate) fn inbox(stream: OwnedReadHalf) -> mpsc::Receiver<Result<Incoming, FrameError>> {
    let (sender, receiver) = mpsc::channel(INBOX);
    let mut reader = Reader {
        stream,
        bytes: Vec::new(),
        descriptors: Descriptors::default(),
    };
    tokio::spawn(async move {
        loop {
            let incoming = match reader.next().await {
                Ok(Some(incoming)) => Ok(incoming),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let last = incoming.is_err();
            if sender.send(incoming).await.is_err() || last {
                return;
            }
        }
    });
    receiver
}

/// The receiving side.
struct Reader {
    stream: OwnedReadHalf,
    /// Read, and not yet a whole frame.
    bytes: Vec<u8>,
    descriptors: Descriptors,
}

impl Reader {
    /// The next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Incoming>, FrameError> {
        loop {
            if let Some(incoming) = self.take()? {
                return Ok(Some(incoming));
            }
            let length = self.bytes.len();
            self.bytes.resize(length + CHUNK, 0);
            let (stream, buffer) = (self.stream.as_ref(), &mut self.bytes[length..]);
            let receive = || self.descriptors.receive(stream, buffer);
            let received = stream.async_io(Interest::READABLE, receive).await;
            self.bytes
                .truncate(length + received.as_ref().unwrap_or(&0));
            match received? {
                0 if length == 0 => return Ok(None),
                0 => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                _ => {}
            }
        }
    }

    /// A whole frame of what was read.
    fn take(&mut self) -> Result<Option<Incoming>, FrameError> {
        let Some((prefix, rest)) = self.bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = frame::body_length(*prefix)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message: ToWorker = frame::decode(body)?;
        self.bytes.drain(..4 + length);
        let carried = match message.carries() {
            true => Some(self.descriptors.take().ok_or_else(|| {
                let why = "a frame came without its descriptor";
                io::Error::new(ErrorKind::InvalidData, why)
            })?),
            false => None,
        };
        Ok(Some(Incoming { message, carried }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use mainstay_protocol::{Answer, carrier};
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_descriptor_comes_with_its_frame() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut inbox = inbox(UnixStream::from_std(theirs).unwrap().into_split().0);
        for id in 0..40 {
            let (reader, _writer) = std::io::pipe().unwrap();
            let answer = ToWorker::Answer {
                id,
                answer: Ok(Answer::Socket),
            };
            let bytes = frame::encode(&answer).unwrap();
            let sent = carrier::send(&ours, &bytes, Some(reader.as_fd())).unwrap();
            assert_eq!(sent, bytes.len());
            let start = frame::encode(&ToWorker::Start).unwrap();
            assert_eq!(carrier::send(&ours, &start, None).unwrap(), start.len());
        }
        for number in 0..40 {
            let answer = inbox.recv().await.unwrap().unwrap();
            let is_this = matches!(answer.message, ToWorker::Answer { id, .. } if id == number);
            assert!(is_this && answer.carried.is_some(), "{answer:?}");
            let start = inbox.recv().await.unwrap().unwrap();
            assert_eq!(start.message, ToWorker::Start);
            assert!(start.carried.is_none());
        }
        let without = ToWorker::Answer {
            id: 1,
            answer: Ok(Answer::Socket),
        };
        carrier::send(&ours, &frame::encode(&without).unwrap(), None).unwrap();
        assert!(inbox.recv().await.unwrap().is_err());
        assert!(inbox.recv().await.is_none());
    }

    #[tokio::test]
    async fn half_a_frame_is_no_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut inbox = inbox(theirs.into_split().0);
        let frame = frame::encode(&ToWorker::Start).unwrap();
        ours.try_write(&frame[..frame.len() - 1]).unwrap();
        drop(ours);
        assert!(inbox.recv().await.unwrap().is_err());
    }
}
