//! Descriptors that go along with frames.
//!
//! A descriptor is sent with the first bytes of its frame, so it is there when the frame is, and
//! frames that carry one take them in the order in which they came.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors that may have come before the frames that they belong to.
const WAITING: usize = 64;

/// Sends bytes, as many as the stream takes, with a descriptor along with the first of them.
/// Answers how many went; the descriptor went if any did.
///
/// # Errors
/// Whatever the stream reports; [`io::ErrorKind::WouldBlock`] when it takes nothing now.
pub fn send(
    stream: impl AsFd,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let slices = [IoSlice::new(bytes)];
    Ok(sendmsg(
        stream,
        &slices,
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?)
}

/// Descriptors that have come, in their order.
#[derive(Debug, Default)]
pub struct Descriptors(VecDeque<OwnedFd>);

impl Descriptors {
    /// Receives bytes into `buffer` and keeps the descriptors that came along. Answers how many
    /// bytes; 0 at the end of the stream.
    ///
    /// # Errors
    /// Whatever the stream reports; [`io::ErrorKind::WouldBlock`] when nothing has come;
    /// [`io::ErrorKind::InvalidData`] for more descriptors than frames could want.
    pub fn receive(&mut self, stream: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(buffer)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(stream, &mut slices, &mut ancillary, flags)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.0.extend(descriptors);
            }
        }
        // The kernel has closed those that had no room.
        let cut = received.flags.contains(ReturnFlags::CTRUNC);
        if cut || self.0.len() > WAITING {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more descriptors than frames came",
            ));
        }
        Ok(received.bytes)
    }

    /// The descriptor of the frame that has just come.
    pub fn take(&mut self) -> Option<OwnedFd> {
        self.0.pop_front()
    }
}

/// A blocking stream, read together with its descriptors: for [`frame::read`](crate::frame::read).
#[derive(Debug)]
pub struct Carrier<S> {
    stream: S,
    /// Those that have come.
    pub descriptors: Descriptors,
}

impl<S: AsFd> Carrier<S> {
    /// Reads from this stream.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            descriptors: Descriptors::default(),
        }
    }

    /// The stream, without the descriptors that nobody took.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Sends all of these bytes, with a descriptor along with the first.
    ///
    /// # Errors
    /// Whatever the stream reports.
    pub fn send(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            let descriptor = descriptor.filter(|_| sent == 0);
            match send(&self.stream, &bytes[sent..], descriptor) {
                Ok(more) => sent += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<S: AsFd> Read for Carrier<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.descriptors.receive(&self.stream, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::{Sealed, frame};

    #[test]
    fn descriptors_come_with_their_frames() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours = Carrier::new(ours);
        for text in ["one", "two"] {
            let sealed = Sealed::of("test", text.as_bytes()).unwrap();
            ours.send(&frame::encode(&text).unwrap(), Some(sealed.as_fd()))
                .unwrap();
            ours.send(&frame::encode(&"without").unwrap(), None)
                .unwrap();
        }
        drop(ours);
        let mut theirs = Carrier::new(theirs);
        for text in ["one", "two"] {
            let frame: String = frame::read(&mut theirs).unwrap().unwrap();
            assert_eq!(frame, text);
            let descriptor = theirs.descriptors.take().unwrap();
            let sealed = Sealed::try_from(descriptor).unwrap();
            assert_eq!(sealed.to_vec().unwrap(), text.as_bytes());
            let frame: String = frame::read(&mut theirs).unwrap().unwrap();
            assert_eq!(frame, "without");
            assert!(theirs.descriptors.take().is_none());
        }
        assert!(frame::read::<String>(&mut theirs).unwrap().is_none());
    }

    #[test]
    fn descriptors_do_not_pile_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let sealed = Sealed::of("test", b"x").unwrap();
        for _ in 0..=WAITING {
            assert_eq!(send(&ours, b"x", Some(sealed.as_fd())).unwrap(), 1);
        }
        let mut theirs = Carrier::new(theirs);
        let mut buffer = [0; 2 * WAITING];
        let error = loop {
            if let Err(error) = theirs.read(&mut buffer) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
