//! Conversations of several turns.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Duration;
use tokio_rustls::client::TlsStream;
use wasmtime::component::Resource;

use super::failure::{closed, invalid, other};
use super::reply::{Enough, find};
use super::{RECEIVED, check_length, within};
use crate::bindings::network::{TlsInfo, TlsOptions};
use crate::bindings::probe::{Error, HostConnection};
use crate::host::State;
use crate::host::slots::Slot;
use crate::host::tls::Client;

/// Bytes read at a time.
const CHUNK: usize = 4096;

/// A conversation that a guest has open. Dropped with the run at the latest, and closed then.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub struct Connection {
    stream: Stream,
    /// Received, and not asked for yet: what came behind a byte string that was waited for.
    left: Vec<u8>,
    /// How long each call may take.
    limit: Duration,
    _slot: Slot,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A handshake failed or was given up half-way.
    Lost,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, limit: Duration, slot: Slot) -> Self {
        Self {
            stream: Stream::Plain(stream),
            left: Vec::new(),
            limit,
            _slot: slot,
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            Stream::Lost => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// As `connection.receive` of the contract. What was read stays when this is given up.
    async fn receive(&mut self, enough: Enough<'_>) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(end) = enough.end_in(&self.left, searched) {
                return Ok(self.left.drain(..end).collect());
            }
            searched = self.left.len();
            if self.read().await? == 0 {
                return Ok(std::mem::take(&mut self.left));
            }
        }
    }

    /// Reads what is there, or waits for it; 0 once the peer has closed.
    async fn read(&mut self) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut chunk).await?,
            Stream::Tls(stream) => match stream.read(&mut chunk).await {
                // Without a word, as many servers do.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                result => result?,
            },
            Stream::Lost => 0,
        };
        self.left.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// Goes on in TLS. What the peer said before belongs to nobody then: it may be somebody's in between.
    async fn start_tls(&mut self, client: &Client) -> Result<TlsInfo, Error> {
        let Stream::Plain(stream) = &self.stream else {
            return Err(invalid("the connection is not a plain one"));
        };
        let mut early = [0; 1];
        match stream.try_read(&mut early) {
            Ok(0) => return Err(closed()),
            Ok(_) => self.left.extend(early),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if !self.left.is_empty() {
            let why = "bytes of the peer were left unread before TLS";
            return Err(Error::ProtocolError(why.to_owned()));
        }
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Lost) else {
            return Err(closed());
        };
        let (stream, info) = client.handshake(stream).await?;
        self.stream = Stream::Tls(Box::new(stream));
        Ok(info)
    }
}

impl HostConnection for State {
    async fn send(&mut self, this: Resource<Connection>, bytes: Vec<u8>) -> Result<(), Error> {
        let _call = self.tally.call("probe.connection.send");
        check_length(&bytes)?;
        let turn = self.waiting_turn();
        let (connection, limit) = self.connection(&this)?;
        within(&turn, limit, async { Ok(connection.send(&bytes).await?) }).await
    }

    async fn receive(
        &mut self,
        this: Resource<Connection>,
        max: u32,
        until: Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        let _call = self.tally.call("probe.connection.receive");
        if max == 0 {
            return Err(invalid("at most 0 bytes are none"));
        }
        if self.received >= RECEIVED {
            return Err(Error::TooMany);
        }
        let turn = self.waiting_turn();
        let (connection, limit) = self.connection(&this)?;
        let enough = Enough::new(max, until.as_deref());
        let received = within(&turn, limit, async {
            Ok(connection.receive(enough).await?)
        })
        .await?;
        self.received += received.len();
        Ok(received)
    }

    async fn start_tls(
        &mut self,
        this: Resource<Connection>,
        tls: TlsOptions,
    ) -> Result<TlsInfo, Error> {
        let _call = self.tally.call("probe.connection.start-tls");
        let client = self.tls_client("probe.connection.start-tls", &tls)?;
        let turn = self.waiting_turn();
        let (connection, limit) = self.connection(&this)?;
        within(&turn, limit, connection.start_tls(&client)).await
    }

    async fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.wasi.resources.delete(this)?;
        Ok(())
    }
}

impl State {
    /// A guest's connection, and how long a call on it may take.
    fn connection(
        &mut self,
        this: &Resource<Connection>,
    ) -> Result<(&mut Connection, Duration), Error> {
        let remaining = self.remaining();
        let connection = self.wasi.resources.get_mut(this);
        let connection = connection.map_err(|error| other(&error.to_string()))?;
        let limit = connection.limit.min(remaining);
        Ok((connection, limit))
    }
}

impl Enough<'_> {
    /// How many of these bytes are enough, if they are; the first `searched` do not hold what is waited for.
    fn end_in(&self, bytes: &[u8], searched: usize) -> Option<usize> {
        let Some(until) = self.until else {
            return (!bytes.is_empty()).then(|| bytes.len().min(self.most));
        };
        let from = searched.saturating_sub(until.len() - 1);
        let end = find(&bytes[from..], until).map(|at| from + at + until.len());
        match end {
            Some(end) => Some(end.min(self.most)),
            None => (bytes.len() >= self.most).then_some(self.most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_what_was_waited_for_and_at_the_bound() {
        let any = Enough::new(4, None);
        assert_eq!(any.end_in(b"", 0), None);
        assert_eq!(any.end_in(b"ab", 0), Some(2));
        assert_eq!(any.end_in(b"abcdef", 0), Some(4));
        let line = Enough::new(6, Some(b"\r\n"));
        assert_eq!(line.end_in(b"ab\r", 0), None);
        assert_eq!(line.end_in(b"ab\r\ncd", 3), Some(4));
        assert_eq!(line.end_in(b"abcdef", 0), Some(6));
        assert_eq!(line.end_in(b"abcdefgh\r\n", 0), Some(6));
    }
}
