//! The daemon's end of the control socket.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::frame::{self, FrameError, REQUEST_LIMIT, RESPONSE_LIMIT};
use super::peer::Standing;
use super::{Admission, Request, Response, RuntimeDir, SOCKET};

/// Connections at a time of root and the daemon's own user, and as many of the group's members. They
/// are counted apart, so that no member can keep root waiting.
pub(super) const CONNECTIONS: usize = 32;

/// How long a client may take for its request, and to read the response.
const CLIENT_LIMIT: Duration = Duration::from_secs(2);

/// The socket; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens in a runtime directory. A socket that is there is of a daemon that died, since the
    /// directory is ours.
    ///
    /// # Errors
    /// Whatever the file system reports, such as a path over the 107 bytes of a socket's address.
    pub(crate) fn bind(runtime_dir: &RuntimeDir) -> io::Result<Self> {
        let path = runtime_dir.path().join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o660))?;
        Ok(Self { listener, path })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Answers requests for ever. `handle` may take its time: others are answered meanwhile. Dropping
/// the future ends every connection.
pub(crate) async fn serve<F>(
    listener: Listener,
    admission: Admission,
    handle: impl Fn(Request) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let admit = move |peer: &UCred| admission.check(peer);
    serve_within(CLIENT_LIMIT, listener, admit, handle).await;
}

/// As [`serve`], with this limit for a client's reading and writing.
pub(super) async fn serve_within<F>(
    limit: Duration,
    listener: Listener,
    admit: impl Fn(&UCred) -> Result<Standing, String>,
    handle: impl Fn(Request) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let handle = Arc::new(handle);
    let (mut own, mut members) = (JoinSet::new(), JoinSet::new());
    loop {
        let stream = match listener.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors or memory, most likely: others may let some go.
                tracing::warn!(%error, "a control connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let admitted = match stream.peer_cred() {
            Ok(peer) => admit(&peer),
            Err(error) => Err(error.to_string()),
        };
        let connections = match admitted {
            Ok(Standing::Own) => &mut own,
            Ok(Standing::Member) => &mut members,
            Err(reason) => {
                refuse(stream, &reason);
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            refuse(stream, &format!("{CONNECTIONS} connections are open"));
            continue;
        }
        let handle = Arc::clone(&handle);
        connections.spawn(async move {
            if let Err(error) = answer(stream, limit, &*handle).await {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
    }
}

/// Sends a client away unheard, without waiting for it: the answer fits into any socket's buffer.
fn refuse(stream: UnixStream, reason: &str) {
    let response = Response::failed(format!("refused: {reason}"));
    let sent = frame::encode(&response, RESPONSE_LIMIT)
        .and_then(|frame| Ok(stream.into_std()?.write_all(&frame)?));
    if let Err(error) = sent {
        tracing::debug!(%error, "a control connection was refused without an answer");
    }
}

async fn answer<F: Future<Output = Response>>(
    mut stream: UnixStream,
    limit: Duration,
    handle: &impl Fn(Request) -> F,
) -> Result<(), FrameError> {
    let response = match within(limit, read(&mut stream)).await {
        Ok(request) => handle(request).await,
        Err(error @ (FrameError::Json(_) | FrameError::TooLong { .. })) => {
            Response::failed(format!("not understood: {error}"))
        }
        Err(FrameError::Io(error)) => return Err(error.into()),
    };
    let frame = match frame::encode(&response, RESPONSE_LIMIT) {
        Ok(frame) => frame,
        Err(error) => frame::encode(&Response::failed(error.to_string()), RESPONSE_LIMIT)?,
    };
    within(limit, async { Ok(stream.write_all(&frame).await?) }).await
}

async fn read(stream: &mut UnixStream) -> Result<Request, FrameError> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    let mut body = vec![0; frame::body_length(prefix, REQUEST_LIMIT)?];
    stream.read_exact(&mut body).await?;
    frame::decode(&body)
}

async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, FrameError>>,
) -> Result<T, FrameError> {
    match timeout(limit, step).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}
