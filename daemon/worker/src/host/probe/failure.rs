//! Failures in the words of the contract.

use std::io::{self, ErrorKind};

use mainstay_protocol::Refusal;

use crate::bindings::probe::Error;
use crate::host::dial::DialError;
use crate::host::tls::TlsError;
use crate::text::one_line;

/// Bytes of a text, at most.
const TEXT: usize = 256;

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => Self::Unreachable,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => closed(),
            _ => other(&error.to_string()),
        }
    }
}

impl From<DialError> for Error {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Io(error) => error.into(),
            DialError::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Invalid(why) => invalid(&why),
            TlsError::Failed(why) => Self::TlsFailed(one_line(&why, TEXT)),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotPermitted => Self::NotPermitted,
            Refusal::Busy => Self::TooMany,
            Refusal::TimedOut => Self::TimedOut,
            Refusal::Invalid(why) => invalid(&why),
            Refusal::Unavailable(why) => other(&why),
            Refusal::System(number) => io::Error::from_raw_os_error(number).into(),
        }
    }
}

/// The peer has gone before all was said.
pub(super) fn closed() -> Error {
    Error::ProtocolError("the peer closed the connection".to_owned())
}

/// An option that makes no sense.
pub(super) fn invalid(why: &str) -> Error {
    Error::InvalidOption(one_line(why, TEXT))
}

/// Anything else.
pub(super) fn other(why: &str) -> Error {
    Error::Other(one_line(why, TEXT))
}
