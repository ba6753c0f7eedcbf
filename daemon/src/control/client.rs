//! The commands' end of the control socket. Blocking: a command does one thing.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::frame::{self, FrameError, REQUEST_LIMIT, RESPONSE_LIMIT};
use super::{Request, Response, SOCKET};

/// How long the daemon may take to answer a question.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take to reload: plugins may have to be compiled.
const RELOAD_LIMIT: Duration = Duration::from_secs(300);

/// Asks the daemon of this runtime directory.
///
/// # Errors
/// [`ClientError`], in words for the person who asked.
pub(crate) fn request(runtime_dir: &Path, request: &Request) -> Result<Response, ClientError> {
    let path = runtime_dir.join(SOCKET);
    let limit = match request {
        Request::Reload => RELOAD_LIMIT,
        Request::Status | Request::Explain { .. } | Request::Metrics => ANSWER_LIMIT,
    };
    ask(&path, request, limit).map_err(|error| ClientError::of(path, error))
}

fn ask(path: &Path, request: &Request, limit: Duration) -> Result<Response, FrameError> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_read_timeout(Some(limit))?;
    let sent = stream.write_all(&frame::encode(request, REQUEST_LIMIT)?);
    let mut prefix = [0; 4];
    // Whom the daemon refuses, it answers without reading: the answer says more than our error.
    if let Err(error) = stream.read_exact(&mut prefix) {
        sent?;
        return Err(error.into());
    }
    let mut body = vec![0; frame::body_length(prefix, RESPONSE_LIMIT)?];
    stream.read_exact(&mut body)?;
    frame::decode(&body)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {path}: is it running?", path = path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket's mode keeps us out.
    #[error(
        "{path} may be used by root and the daemon's group only",
        path = path.display()
    )]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon is there and doesn't answer.
    #[error("the daemon at {path} gave no answer in time", path = path.display())]
    TimedOut {
        /// The socket.
        path: PathBuf,
    },
    /// The connection failed, or the daemon is of another version.
    #[error("the daemon at {path}: {source}", path = path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: FrameError,
    },
}

impl ClientError {
    fn of(path: PathBuf, error: FrameError) -> Self {
        use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, TimedOut, WouldBlock};
        match error {
            FrameError::Io(error) => match error.kind() {
                NotFound | ConnectionRefused => Self::NotRunning { path },
                PermissionDenied => Self::Denied { path },
                TimedOut | WouldBlock => Self::TimedOut { path },
                _ => Self::Failed {
                    path,
                    source: error.into(),
                },
            },
            source => Self::Failed { path, source },
        }
    }
}
