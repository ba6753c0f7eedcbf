//! A request or response on the wire: a length in four bytes (big endian), and JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a request, at most.
pub(super) const REQUEST_LIMIT: usize = 64 << 10;

/// Bytes of a response, at most: the status of several thousand routers.
pub(super) const RESPONSE_LIMIT: usize = 64 << 20;

/// The frame of a message.
pub(super) fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Json)?;
    let length = within(frame.len() - 4, limit)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// The length that a frame's first bytes announce.
pub(super) fn body_length(prefix: [u8; 4], limit: usize) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(prefix) as usize;
    within(length, limit)?;
    Ok(length)
}

/// The message in a frame's body.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(body).map_err(FrameError::Json)
}

fn within(length: usize, limit: usize) -> Result<u32, FrameError> {
    let error = FrameError::TooLong { length, limit };
    if length > limit {
        return Err(error);
    }
    u32::try_from(length).map_err(|_| error)
}

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// Over the limit.
    #[error("a message of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// Its bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not the JSON of the expected message.
    #[error("not a message of this version: {0}")]
    Json(serde_json::Error),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
