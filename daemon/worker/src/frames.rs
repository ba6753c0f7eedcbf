//! Frames on the control stream, for tasks: one reader, any number of writers.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use mainstay_protocol::carrier::Carrier;
use mainstay_protocol::frame::{self, FrameError};
use mainstay_protocol::{FromWorker, ToWorker};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::sync::{Notify, mpsc};

use crate::tally::lock;

/// Frames that wait between the reader and the session, at most.
const INBOX: usize = 64;

/// Bytes that wait for the daemon to read them; who has more to say waits.
const OUTBOX: usize = 64 << 10;

/// The sending side, shared by all tasks.
///
/// What is sent while other tasks still have something to do goes out with what they send: one
/// write here, and the daemon is woken once.
#[derive(Clone, Debug)]
pub(crate) struct Outbox(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Notify,
    /// There is room again.
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The stream has failed, and nothing is to be said any more.
    closed: bool,
}

impl Outbox {
    /// Sends to the daemon on `stream`, which blocks, on a task of its own.
    #[must_use]
    pub(crate) fn new(stream: UnixStream) -> Self {
        let queue = Arc::new(Queue::default());
        tokio::spawn(write(stream, queue.clone()));
        Self(queue)
    }

    /// Sends one frame, waiting while too much waits already because the daemon does not read.
    ///
    /// Errors of the stream are left to the reader, which sees the end of the same stream and ends
    /// the worker; a frame over the limit is left out and said so on stderr.
    pub(crate) async fn send(&self, message: &FromWorker) {
        let frame = match frame::encode(message) {
            Ok(frame) => frame,
            Err(error) => return eprintln!("mainstay-worker: a frame is left out: {error}"),
        };
        loop {
            let emptied = self.0.emptied.notified();
            {
                let mut waiting = lock(&self.0.waiting);
                if waiting.closed {
                    return;
                }
                if waiting.bytes.len() < OUTBOX {
                    waiting.bytes.extend_from_slice(&frame);
                    break;
                }
            }
            emptied.await;
        }
        self.0.filled.notify_one();
    }
}

/// Writes what waits, for as long as the stream takes it.
async fn write(stream: UnixStream, queue: Arc<Queue>) {
    let mut bytes = Vec::new();
    loop {
        queue.filled.notified().await;
        std::mem::swap(&mut lock(&queue.waiting).bytes, &mut bytes);
        queue.emptied.notify_waiters();
        match write_all(&stream, bytes).await {
            Ok(emptied) => bytes = emptied,
            Err(_) => {
                *lock(&queue.waiting) = Waiting {
                    bytes: Vec::new(),
                    closed: true,
                };
                return queue.emptied.notify_waiters();
            }
        }
    }
}

/// Writes all of this, and returns the buffer for the next time.
async fn write_all(stream: &UnixStream, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut written = 0;
    while written < bytes.len() {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(stream, &bytes[written..], flags) {
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            // It is rare that the daemon is so far behind. A runtime that watched the stream for
            // room would be woken each time that the daemon reads.
            Err(Errno::AGAIN) => {
                let mut stream = stream.try_clone()?;
                let rest = bytes.split_off(written);
                let blocked = tokio::task::spawn_blocking(move || stream.write_all(&rest));
                blocked.await.map_err(io::Error::other)??;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bytes.clear();
    Ok(bytes)
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What it says.
    pub(crate) message: ToWorker,
    /// The descriptor that came along, if it carries one.
    pub(crate) carried: Option<OwnedFd>,
}

/// Reads frames from `stream` on a thread of its own until it ends. The channel closes at the end
/// of the stream; an error is its last item.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn inbox(
    stream: UnixStream,
) -> io::Result<mpsc::Receiver<Result<Incoming, FrameError>>> {
    let (sender, receiver) = mpsc::channel(INBOX);
    std::thread::Builder::new()
        .name("inbox".to_owned())
        .spawn(move || {
            let mut stream = Carrier::new(stream);
            loop {
                let incoming = match next(&mut stream) {
                    Ok(Some(incoming)) => Ok(incoming),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let last = incoming.is_err();
                if sender.blocking_send(incoming).is_err() || last {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// The next frame; `None` at the end of the stream.
fn next(stream: &mut Carrier<UnixStream>) -> Result<Option<Incoming>, FrameError> {
    let Some(message) = frame::read::<ToWorker>(stream)? else {
        return Ok(None);
    };
    let carried = match message.carries() {
        true => Some(stream.descriptors.take().ok_or_else(|| {
            let why = "a frame came without its descriptor";
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?),
        false => None,
    };
    Ok(Some(Incoming { message, carried }))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use mainstay_protocol::{Answer, LogLevel, Subject, carrier};

    use super::*;

    fn line(number: usize) -> FromWorker {
        FromWorker::Log {
            plugin: "p".to_owned(),
            subject: Subject::Load,
            level: LogLevel::Info,
            message: format!("{number} {}", "x".repeat(1000)),
            fields: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_is_sent_together_arrives_together() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::new(ours);
        for number in 0..3 {
            outbox.send(&line(number)).await;
        }
        let whole = 3 * frame::encode(&line(0)).unwrap().len();
        let reader = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; 2 * whole];
            theirs.read(&mut buffer).unwrap()
        });
        assert_eq!(reader.await.unwrap(), whole);
    }

    #[tokio::test]
    async fn a_daemon_that_does_not_read_holds_up_who_has_more_to_say() {
        const LINES: usize = 2000;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::new(ours);
        let queue = Arc::clone(&outbox.0);
        let sender = tokio::spawn(async move {
            for number in 0..LINES {
                outbox.send(&line(number)).await;
            }
        });
        // Until the kernel takes no more, and neither does the queue.
        while lock(&queue.waiting).bytes.len() < OUTBOX {
            tokio::task::yield_now().await;
        }
        assert!(lock(&queue.waiting).bytes.len() < OUTBOX + frame::LIMIT);
        assert!(!sender.is_finished());
        let reader = tokio::task::spawn_blocking(move || {
            for number in 0..LINES {
                let read: FromWorker = frame::read(&mut theirs).unwrap().unwrap();
                assert_eq!(read, line(number));
            }
        });
        sender.await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn nobody_waits_for_a_daemon_that_is_gone() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::new(ours);
        drop(theirs);
        for number in 0..2000 {
            outbox.send(&line(number)).await;
        }
    }

    #[tokio::test]
    async fn frames_are_read_however_they_come() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut inbox = inbox(ours).unwrap();
        let frame = frame::encode(&ToWorker::Start).unwrap();
        theirs.write_all(&frame[..3]).unwrap();
        theirs.write_all(&frame[3..]).unwrap();
        theirs
            .write_all(&[&frame[..], &frame[..]].concat())
            .unwrap();
        for _ in 0..3 {
            let message = inbox.recv().await.unwrap().unwrap();
            assert_eq!(message.message, ToWorker::Start);
        }
        theirs.write_all(&frame[..5]).unwrap();
        drop(theirs);
        assert!(inbox.recv().await.unwrap().is_err());
        assert!(inbox.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_descriptor_comes_with_its_frame() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut inbox = inbox(theirs).unwrap();
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
}
