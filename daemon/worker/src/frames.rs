//! Frames on the control stream, for tasks: one reader, any number of writers.

use std::sync::Arc;

use mainstay_protocol::frame::{self, FrameError};
use mainstay_protocol::{FromWorker, ToWorker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc};

/// Frames that wait between the reader and the session, at most.
const INBOX: usize = 64;

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

/// Reads frames until the stream ends. The channel closes at the end of the stream; an error is
/// its last item.
pub(crate) fn inbox(mut stream: OwnedReadHalf) -> mpsc::Receiver<Result<ToWorker, FrameError>> {
    let (sender, receiver) = mpsc::channel(INBOX);
    tokio::spawn(async move {
        loop {
            let message = match next(&mut stream).await {
                Ok(Some(message)) => Ok(message),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let last = message.is_err();
            if sender.send(message).await.is_err() || last {
                return;
            }
        }
    });
    receiver
}

async fn next(stream: &mut OwnedReadHalf) -> Result<Option<ToWorker>, FrameError> {
    let mut prefix = [0; 4];
    if stream.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[1..]).await?;
    let mut body = vec![0; frame::body_length(prefix)?];
    stream.read_exact(&mut body).await?;
    frame::decode(&body).map(Some)
}
