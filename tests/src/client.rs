//! The control socket, used by someone who means no good.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::node::Node;

/// The control socket of a node.
pub fn path(node: &Node) -> PathBuf {
    node.host().files().join("run/control.sock")
}

/// A connection to a node's control socket.
///
/// # Errors
/// When nobody listens.
pub fn connect(node: &Node) -> Result<UnixStream> {
    Ok(UnixStream::connect(path(node))?)
}

/// Whatever the daemon says until it closes the connection; empty when it just closes.
///
/// # Errors
/// When it has not closed within `limit`.
pub fn rest(mut stream: UnixStream, limit: Duration) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(limit))?;
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => Ok(said),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(said),
        Err(error) => Err(error.into()),
    }
}
