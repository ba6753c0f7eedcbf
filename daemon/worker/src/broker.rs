//! Questions to the daemon, and the answers that come back.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use mainstay_protocol::{
    Answer, FromWorker, QUESTIONS_A_SECOND, QUESTIONS_AT_ONCE, Question, Rate, Refusal,
};
use tokio::sync::oneshot;

use crate::frames::Outbox;
use crate::tally::lock;

/// Asks the daemon for what this process may not do itself. Clones are the same broker.
#[derive(Clone, Debug)]
pub(crate) struct Broker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    outbox: Outbox,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    rate: Rate,
    /// Who waits for the answer, by the question's number.
    answers: HashMap<u64, oneshot::Sender<Given>>,
}

/// What the daemon gave, and the descriptor if it is one.
pub(crate) type Given = Result<(Answer, Option<OwnedFd>), Refusal>;

impl Broker {
    /// Asks through this.
    #[must_use]
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self(Arc::new(Inner {
            outbox,
            waiting: Mutex::default(),
        }))
    }

    /// Asks on behalf of a plugin, and waits for the answer. May be cancelled at any time: the answer is dropped then.
    ///
    /// # Errors
    /// Whatever the daemon says; [`Refusal::Busy`] without asking when too many questions wait, or were asked.
    pub(crate) async fn ask(&self, plugin: &str, question: Question) -> Given {
        let (id, answer) = self.register().ok_or(Refusal::Busy)?;
        let _forget = Forget(self, id);
        let ask = FromWorker::Ask {
            id,
            plugin: plugin.to_owned(),
            question,
        };
        self.0.outbox.send(&ask).await;
        answer
            .await
            .unwrap_or_else(|_| Err(Refusal::Unavailable("the answer is lost".to_owned())))
    }

    /// The daemon has answered. Without anybody who waits, the answer is dropped and its descriptor closed.
    pub(crate) fn answered(&self, id: u64, answer: Result<Answer, Refusal>, fd: Option<OwnedFd>) {
        if let Some(waits) = lock(&self.0.waiting).answers.remove(&id) {
            let _ = waits.send(answer.map(|answer| (answer, fd)));
        }
    }

    fn register(&self) -> Option<(u64, oneshot::Receiver<Given>)> {
        let mut waiting = lock(&self.0.waiting);
        let full = waiting.answers.len() >= QUESTIONS_AT_ONCE;
        if full || waiting.rate.count(Instant::now()) > QUESTIONS_A_SECOND {
            return None;
        }
        waiting.last += 1;
        let (sender, receiver) = oneshot::channel();
        let id = waiting.last;
        waiting.answers.insert(id, sender);
        Some((id, receiver))
    }
}

/// Nobody waits for this answer any more.
struct Forget<'a>(&'a Broker, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.0.0.waiting).answers.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use mainstay_protocol::{Origin, SocketRequest, Transport};

    use super::*;

    fn question() -> Question {
        Question::Socket(SocketRequest {
            transport: Transport::Tcp,
            to: ([127, 0, 0, 1], 80).into(),
            origin: Origin::default(),
        })
    }

    fn broker() -> (Broker, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Broker::new(Outbox::new(ours)), theirs)
    }

    fn waiting(broker: &Broker) -> usize {
        lock(&broker.0.waiting).answers.len()
    }

    #[tokio::test]
    async fn an_answer_finds_its_question_and_no_other() {
        let (broker, _daemon) = broker();
        let ask = |broker: &Broker| {
            let broker = broker.clone();
            tokio::spawn(async move { broker.ask("p", question()).await })
        };
        let (first, second) = (ask(&broker), ask(&broker));
        while waiting(&broker) < 2 {
            tokio::task::yield_now().await;
        }
        broker.answered(7, Err(Refusal::Busy), None);
        broker.answered(2, Err(Refusal::TimedOut), None);
        broker.answered(2, Err(Refusal::Busy), None);
        broker.answered(1, Err(Refusal::NotPermitted), None);
        let got = (first.await.unwrap(), second.await.unwrap());
        assert_eq!(got.0.unwrap_err(), Refusal::NotPermitted);
        assert_eq!(got.1.unwrap_err(), Refusal::TimedOut);
        assert_eq!(waiting(&broker), 0);
    }

    #[tokio::test]
    async fn who_is_cancelled_waits_no_longer_and_what_comes_is_closed() {
        let (broker, _daemon) = broker();
        let asking = broker.clone();
        let task = tokio::spawn(async move { asking.ask("p", question()).await });
        while waiting(&broker) < 1 {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(waiting(&broker), 0);
        let (reader, writer) = std::io::pipe().unwrap();
        broker.answered(1, Ok(Answer::Socket), Some(writer.into()));
        // Ends only when nobody holds the other end.
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    }

    #[tokio::test]
    async fn only_so_many_wait_and_only_so_many_are_asked() {
        let (broker, _daemon) = broker();
        let waiting: Vec<_> = (0..QUESTIONS_AT_ONCE)
            .map(|_| broker.register().unwrap())
            .collect();
        let refused = broker.ask("p", question()).await;
        assert_eq!(refused.unwrap_err(), Refusal::Busy);
        for (id, _) in &waiting {
            broker.answered(*id, Err(Refusal::TimedOut), None);
        }
        let asked = std::iter::from_fn(|| {
            let (id, _) = broker.register()?;
            drop(Forget(&broker, id));
            Some(id)
        });
        let asked = asked.take(4 * QUESTIONS_A_SECOND as usize).count();
        assert!(asked < 2 * QUESTIONS_A_SECOND as usize, "{asked}");
    }
}
