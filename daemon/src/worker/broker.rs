//! Answers what plugins ask while they run: what a worker without privileges cannot do or know.
//!
//! A worker may be in the hands of whoever broke out of a plugin. So each question is checked here against the grants
//! of the plugin that it names, and a worker can name no plugin beyond those that it was given.

mod asker;
mod echo;
mod names;
mod origin;
mod pipe;
mod routers;
mod socket;
mod unit;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_protocol::{
    Answer, FromWorker, Load, QUESTIONS_A_SECOND, QUESTIONS_AT_ONCE, Question, Rate, Refusal,
    ToWorker,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{Connection, ConnectionError};
use super::source::Worker;
use crate::keeping::Keeping;
use asker::Asker;
use echo::Echoes;
pub(crate) use routers::Routers;

/// How long an answer may take, unless the question says so itself.
const LIMIT: Duration = Duration::from_secs(5);

/// Pipes that are written to at the same time, at most.
const PIPES: usize = 4;

/// Connections to systemd at the same time, at most.
const UNITS: usize = 2;

/// What answers are made of, whichever worker asks. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    echoes: Echoes,
    /// What plugins have kept.
    pub(super) keeping: Keeping,
    /// The engine's routers; without an engine there are none to be seen.
    routers: Option<Arc<Routers>>,
    /// Bounds the threads that write to pipes, and the connections to systemd.
    pipes: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

impl Means {
    /// What the daemon has.
    pub(crate) fn new(keeping: Keeping, routers: Routers) -> Self {
        Self {
            keeping,
            routers: Some(Arc::new(routers)),
            ..Self::default()
        }
    }
}

impl Default for Means {
    fn default() -> Self {
        Self {
            echoes: Echoes::default(),
            keeping: Keeping::default(),
            routers: None,
            pipes: Arc::new(Semaphore::new(PIPES)),
            units: Arc::new(Semaphore::new(UNITS)),
        }
    }
}

/// Answers the questions of one worker. Dropping it drops the answers that are under way.
#[derive(Debug)]
pub(super) struct Broker {
    means: Means,
    askers: BTreeMap<String, Arc<Asker>>,
    rate: Rate,
    under_way: JoinSet<Reply>,
}

/// An answer on its way to the worker.
#[derive(Debug)]
pub(super) struct Reply {
    id: u64,
    answer: Result<Answer, Refusal>,
    carried: Option<OwnedFd>,
}

/// What was asked for, and the descriptor if it is one.
struct Given {
    answer: Answer,
    carried: Option<OwnedFd>,
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            carried: None,
        }
    }
}

impl Broker {
    /// Answers with these means; nobody yet.
    pub(super) fn new(means: Means) -> Self {
        Self {
            means,
            askers: BTreeMap::new(),
            rate: Rate::default(),
            under_way: JoinSet::new(),
        }
    }

    /// Answers the plugins of this load from now on, within their grants.
    pub(super) fn serve(&mut self, load: &Load) {
        self.askers = Asker::all(load);
    }

    /// Takes a question. Its answer comes from [`Self::answered`], or at once when there is none. A worker that has so
    /// many sockets `untaken` gets no more of them: they are descriptors of the daemon until then.
    ///
    /// # Errors
    /// [`ConnectionError::Flood`] when no worker in its right mind would ask as often.
    fn ask(
        &mut self,
        id: u64,
        plugin: &str,
        question: Question,
        untaken: usize,
        now: Instant,
    ) -> Result<Option<Reply>, ConnectionError> {
        let refused = |refusal| {
            Ok(Some(Reply {
                id,
                answer: Err(refusal),
                carried: None,
            }))
        };
        let asked = self.rate.count(now);
        if asked > 4 * QUESTIONS_A_SECOND {
            return Err(ConnectionError::Flood);
        }
        let waiting = self.under_way.len() + untaken;
        if asked > 2 * QUESTIONS_A_SECOND || waiting >= QUESTIONS_AT_ONCE {
            return refused(Refusal::Busy);
        }
        let Some(asker) = self.askers.get(plugin) else {
            return refused(Refusal::NotPermitted);
        };
        let (asker, means) = (Arc::clone(asker), self.means.clone());
        self.under_way.spawn(async move {
            let limit = limit(&question);
            let answering = answer(&asker, &means, question);
            let given = match tokio::time::timeout(limit, answering).await {
                Ok(given) => given,
                Err(_) => Err(Refusal::TimedOut),
            };
            let (answer, carried) = match given {
                Ok(given) => (Ok(given.answer), given.carried),
                Err(refusal) => (Err(refusal), None),
            };
            Reply {
                id,
                answer,
                carried,
            }
        });
        Ok(None)
    }

    /// The next answer. Nothing is lost when the future is dropped.
    async fn answered(&mut self) -> Reply {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(reply)) => return reply,
                Some(Err(error)) => tracing::error!(%error, "a plugin gets no answer"),
                None => return pending().await,
            }
        }
    }
}

/// How long the answer may take.
fn limit(question: &Question) -> Duration {
    match question {
        Question::Socket(_)
        | Question::Names
        | Question::Own { .. }
        | Question::State(_)
        | Question::Routers(_)
        | Question::Pipe { .. }
        | Question::Unit(_) => LIMIT,
        Question::Echo(request) => echo::limit(request),
    }
}

async fn answer(asker: &Asker, means: &Means, question: Question) -> Result<Given, Refusal> {
    let answer = match question {
        Question::Socket(request) => {
            return Ok(Given {
                answer: Answer::Socket,
                carried: Some(socket::open(asker, &request).await?),
            });
        }
        Question::Echo(request) => echo::answer(asker, &means.echoes, &request).await?,
        Question::Names => names::answer(asker).await?,
        Question::Own { addresses } => names::own(asker, addresses).await?,
        Question::State(call) => {
            let grant = asker.state.as_ref().ok_or(Refusal::NotPermitted)?;
            Answer::State(means.keeping.answer(&asker.plugin, grant, call).await)
        }
        Question::Routers(_) if !asker.routers => return Err(Refusal::NotPermitted),
        Question::Routers(name) => Answer::Routers(match &means.routers {
            Some(routers) => routers.find(name.as_deref()).await?,
            None => Vec::new(),
        }),
        Question::Pipe { path, line } => {
            Answer::Pipe(pipe::write(asker, &means.pipes, &path, &line).await?)
        }
        Question::Unit(unit) => Answer::Unit(unit::active_state(asker, &means.units, &unit).await?),
    };
    Ok(Given {
        answer,
        carried: None,
    })
}

fn system(error: io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(number) => Refusal::System(number),
        None => Refusal::Unavailable(error.to_string()),
    }
}

impl Worker {
    /// The next message that is no question; questions are answered meanwhile. Nothing is lost when the future is
    /// dropped.
    ///
    /// # Errors
    /// As [`Connection::next`], and when the worker asks without measure.
    pub(super) async fn next(&mut self) -> Result<FromWorker, ConnectionError> {
        loop {
            if let Some(message) = self.ready()? {
                return Ok(message);
            }
            tokio::select! {
                ready = self.connection.more() => ready?,
                reply = self.broker.answered() => reply.send(&mut self.connection)?,
            }
        }
    }

    /// The next message that is here already and no question; questions are answered meanwhile.
    ///
    /// # Errors
    /// As [`Self::next`], but for the end of the connection.
    pub(super) fn ready(&mut self) -> Result<Option<FromWorker>, ConnectionError> {
        while let Some(message) = self.connection.ready()? {
            let FromWorker::Ask {
                id,
                plugin,
                question,
            } = message
            else {
                return Ok(Some(message));
            };
            let untaken = self.connection.carrying();
            let now = Instant::now();
            let reply = self.broker.ask(id, &plugin, question, untaken, now)?;
            if let Some(reply) = reply {
                reply.send(&mut self.connection)?;
            }
        }
        Ok(None)
    }
}

impl Reply {
    fn send(self, connection: &mut Connection) -> Result<(), ConnectionError> {
        let message = ToWorker::Answer {
            id: self.id,
            answer: self.answer,
        };
        match self.carried {
            Some(carried) => connection.send_with(&message, carried),
            None => connection.send(&message),
        }
    }
}

#[cfg(test)]
mod tests;
