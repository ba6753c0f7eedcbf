//! One datagram there, one back.

use tokio::net::UdpSocket;

use super::reply::Enough;
use crate::bindings::probe::{Error, Exchange};

/// The longest datagram.
const DATAGRAM: usize = 64 << 10;

/// Sends the datagram, and waits for one that holds what is waited for, or for any.
pub(super) async fn exchange(socket: &UdpSocket, exchange: &Exchange) -> Result<Vec<u8>, Error> {
    let enough = Enough::new(exchange.max_reply, exchange.until.as_deref());
    socket.send(&exchange.send).await?;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut datagram).await?;
        if enough.is_in(&datagram[..length]) {
            datagram.truncate(length.min(enough.most));
            return Ok(datagram);
        }
    }
}
