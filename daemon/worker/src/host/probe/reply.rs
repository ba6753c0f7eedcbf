//! What comes from a peer, up to a bound or a byte string.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::BYTES;

/// When enough was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enough<'a> {
    /// Bytes, at most.
    pub(super) most: usize,
    /// What is waited for; not empty.
    pub(super) until: Option<&'a [u8]>,
}

impl<'a> Enough<'a> {
    /// At this many bytes, never more than 64 KiB, or when this byte string was seen; an empty one is none.
    pub(super) fn new(most: u32, until: Option<&'a [u8]>) -> Self {
        Self {
            most: (most as usize).min(BYTES),
            until: until.filter(|until| !until.is_empty()),
        }
    }

    /// Whether these bytes hold what is waited for, if anything is.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.until.is_none_or(|until| find(bytes, until).is_some())
    }
}

/// Reads until the reply is enough, or ends.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    enough: Enough<'_>,
) -> io::Result<Vec<u8>> {
    let mut reply = Vec::new();
    let mut chunk = [0; 4096];
    while reply.len() < enough.most {
        let room = chunk.len().min(enough.most - reply.len());
        let received = stream.read(&mut chunk[..room]).await?;
        if received == 0 {
            break;
        }
        // What is waited for may begin in what was there before.
        let from = reply
            .len()
            .saturating_sub(enough.until.map_or(0, |u| u.len() - 1));
        reply.extend_from_slice(&chunk[..received]);
        if enough
            .until
            .is_some_and(|until| find(&reply[from..], until).is_some())
        {
            break;
        }
    }
    Ok(reply)
}

/// Where a byte string begins. In a time in proportion to both: the plugin and its peer choose them, and everybody
/// waits for the answer.
pub(super) fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, sought)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_search_takes_no_longer_for_what_looks_alike() {
        let bytes = vec![b'a'; BYTES];
        let mut sought = vec![b'a'; BYTES / 2];
        sought.push(b'b');
        let begin = Instant::now();
        // Window by window they take a minute, and else a fraction of a second.
        for _ in 0..1000 {
            assert_eq!(find(&bytes, &sought), None);
        }
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}
