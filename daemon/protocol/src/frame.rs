//! A frame: four bytes of length (big endian), then that many bytes of JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bounds::{Bounded, OutOfBounds};

/// The longest frame either side sends or accepts, in bytes, without its length.
pub const LIMIT: usize = 1 << 20;

/// Encodes one message with its length in front.
///
/// # Errors
/// [`FrameError::TooLong`] when the message exceeds [`LIMIT`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Json)?;
    let length = frame.len() - 4;
    if length > LIMIT {
        return Err(FrameError::TooLong(length));
    }
    frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame)
}

/// Decodes the body of a frame, without its length.
///
/// # Errors
/// [`FrameError::Json`] when the body is not the expected message, [`FrameError::Bounds`] when a
/// field of it is too long or too large.
pub fn decode<T: Bounded + DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let message: T = serde_json::from_slice(body).map_err(FrameError::Json)?;
    message.check()?;
    Ok(message)
}

/// The body length that four length bytes announce.
///
/// # Errors
/// [`FrameError::TooLong`] when it exceeds [`LIMIT`], so that a reader never allocates more.
pub fn body_length(prefix: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(prefix) as usize;
    if length > LIMIT {
        return Err(FrameError::TooLong(length));
    }
    Ok(length)
}

/// Writes one message to a blocking stream.
///
/// # Errors
/// As [`encode`], and whatever the stream reports.
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> Result<(), FrameError> {
    stream.write_all(&encode(message)?)?;
    Ok(())
}

/// Reads one message from a blocking stream; `None` when the peer closed it between frames.
///
/// # Errors
/// As [`decode`] and [`body_length`], and whatever the stream reports.
pub fn read<T: Bounded + DeserializeOwned>(
    stream: &mut impl Read,
) -> Result<Option<T>, FrameError> {
    let mut prefix = [0; 4];
    match stream.read(&mut prefix[..1])? {
        0 => return Ok(None),
        _ => stream.read_exact(&mut prefix[1..])?,
    }
    let mut body = vec![0; body_length(prefix)?];
    stream.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`LIMIT`]; the number is its length in bytes.
    #[error("a frame of {0} bytes is over the limit of {LIMIT}")]
    TooLong(usize),
    /// Not the JSON of the expected message.
    #[error("not a message of this protocol")]
    Json(#[source] serde_json::Error),
    /// A field is not what either end would send.
    #[error("a message of this protocol in which {0}")]
    Bounds(#[from] OutOfBounds),
    /// The stream failed.
    #[error("the stream failed")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_stream() {
        let mut stream = Vec::new();
        write(&mut stream, &"hello").unwrap();
        write(&mut stream, &"again").unwrap();
        let mut reader = stream.as_slice();
        assert_eq!(
            read::<String>(&mut reader).unwrap().as_deref(),
            Some("hello")
        );
        assert_eq!(
            read::<String>(&mut reader).unwrap().as_deref(),
            Some("again")
        );
        assert!(read::<String>(&mut reader).unwrap().is_none());
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_before_allocating() {
        let mut reader: &[u8] = &[0xff, 0xff, 0xff, 0xff, b'x'];
        assert!(matches!(
            read::<String>(&mut reader),
            Err(FrameError::TooLong(_))
        ));
    }

    #[test]
    fn a_message_over_the_limit_is_not_sent() {
        let long = "x".repeat(LIMIT);
        assert!(matches!(encode(&long), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn a_cut_frame_is_an_error_and_not_the_end() {
        let mut reader: &[u8] = &[0, 0, 0, 9, b'"'];
        assert!(matches!(
            read::<String>(&mut reader),
            Err(FrameError::Io(_))
        ));
    }
}
