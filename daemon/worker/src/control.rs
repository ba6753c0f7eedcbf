//! The control stream: taking over the socket that the daemon or systemd passed on.

use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The connected stream socket that this process was started with as `descriptor`.
///
/// The number is duplicated through a pidfd of our own process: std offers no safe way to adopt a
/// descriptor by its number.
///
/// # Errors
/// [`ControlError`] when there is no such descriptor or it is not a connected Unix stream socket.
pub fn adopt(descriptor: RawFd) -> Result<UnixStream, ControlError> {
    let duplicate = if descriptor == 0 {
        std::io::stdin().as_fd().try_clone_to_owned()?
    } else {
        let myself = pidfd_open(getpid(), PidfdFlags::empty())?;
        pidfd_getfd(myself, descriptor, PidfdGetfdFlags::empty())?
    };
    let stream = UnixStream::from(duplicate);
    if stream.peer_addr().is_err() {
        return Err(ControlError::NotASocket(descriptor));
    }
    Ok(stream)
}

/// The descriptor that systemd passed on (`Accept=yes`), if it passed exactly one to this process.
#[must_use]
pub fn passed_by_systemd() -> Option<RawFd> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let ours = number("LISTEN_PID")? == std::process::id();
    (ours && number("LISTEN_FDS")? == 1).then_some(3)
}

/// Why there is no control stream.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The number is not that of a connected Unix stream socket.
    #[error(
        "descriptor {0} is not a connected Unix socket; mainstay starts this executable itself"
    )]
    NotASocket(RawFd),
    /// The descriptor could not be duplicated.
    #[error("the control socket cannot be taken over")]
    Io(#[from] std::io::Error),
}

impl From<Errno> for ControlError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_socket_is_taken_over_by_its_number() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let adopted = adopt(theirs.as_raw_fd()).unwrap();
        drop(theirs);
        std::io::Write::write_all(&mut &adopted, b"x").unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(&mut &ours, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn what_is_no_connected_socket_is_refused() {
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for descriptor in [file.as_raw_fd(), listener.as_raw_fd()] {
            let error = adopt(descriptor).unwrap_err();
            assert!(matches!(error, ControlError::NotASocket(_)), "{error}");
        }
        assert!(matches!(adopt(9999), Err(ControlError::Io(_))));
    }
}
