//! The way of inputs and questions into the engine thread.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use mainstay_core::input::Input;
use mainstay_core::status::{Explanation, Status};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

/// Messages that may wait. A full mailbox makes its senders wait; the engine never does.
const CAPACITY: usize = 1024;

/// Something for the engine thread.
#[derive(Debug)]
pub(super) enum Message {
    Input(Box<Input>),
    Status(oneshot::Sender<(Status, u64)>),
    Explain(Option<Box<str>>, oneshot::Sender<Vec<Explanation>>),
}

/// The senders' end.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    sender: SyncSender<Message>,
    wake: Arc<EventFd>,
}

/// The engine's end: messages, and a descriptor that is readable when there may be some.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: Receiver<Message>,
    wake: Arc<EventFd>,
}

/// Both ends.
///
/// # Errors
/// When there is no descriptor to be had.
pub(super) fn mailbox() -> nix::Result<(Mailbox, Inbox)> {
    let wake = Arc::new(EventFd::from_flags(
        EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
    )?);
    let (sender, receiver) = sync_channel(CAPACITY);
    let mailbox = Mailbox {
        sender,
        wake: Arc::clone(&wake),
    };
    Ok((mailbox, Inbox { receiver, wake }))
}

impl Mailbox {
    /// Passes an input on. Without an engine thread it goes nowhere: the process is ending.
    pub(super) fn input(&self, input: Input) {
        self.send(Message::Input(Box::new(input)));
    }

    /// Passes inputs on that the engine is woken for once.
    pub(super) fn inputs(&self, inputs: impl Iterator<Item = Input>) {
        for input in inputs {
            let message = Message::Input(Box::new(input));
            if let Err(TrySendError::Full(message)) = self.sender.try_send(message) {
                // Wakes the engine, which makes room.
                let _ = self.wake.write(1);
                let _ = self.sender.send(message);
            }
        }
        let _ = self.wake.write(1);
    }

    /// The engine's part of the status, and how many packets the kernel dropped because they were
    /// not read in time; `None` when the engine is gone.
    pub(super) async fn status(&self) -> Option<(Status, u64)> {
        let (answer, status) = oneshot::channel();
        self.send(Message::Status(answer));
        status.await.ok()
    }

    /// The transitions of one router or of all; `None` when the engine is gone.
    pub(super) async fn explain(&self, router: Option<String>) -> Option<Vec<Explanation>> {
        let (answer, explanations) = oneshot::channel();
        self.send(Message::Explain(router.map(String::into_boxed_str), answer));
        explanations.await.ok()
    }

    fn send(&self, message: Message) {
        if self.sender.send(message).is_ok() {
            // Fails only when the counter is full, and then the engine wakes anyway.
            let _ = self.wake.write(1);
        }
    }
}

impl Inbox {
    /// The next message, without waiting.
    pub(super) fn next(&self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }

    /// Makes the descriptor readable again: there are messages left.
    pub(super) fn again(&self) {
        let _ = self.wake.write(1);
    }

    /// Makes the descriptor unreadable until the next message; call it before looking for messages.
    pub(super) fn rearm(&self) {
        let _ = self.wake.read();
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
