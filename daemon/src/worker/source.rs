//! Where workers come from.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_protocol::PluginInfo;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::broker::{Broker, Means};
use super::connection::{Connection, ConnectionError, Hello};
use super::in_flight::InFlight;
use super::process::{Process, death};
use super::suspects::Death;
use crate::code::{Cache, Codes};
use crate::control::Workers;

/// How long a worker may take to load: every plugin has to describe itself, every setting to be
/// validated.
pub(super) const LOAD_LIMIT: Duration = Duration::from_secs(240);

/// Where workers come from, and the code that they run.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    origin: Origin,
    pub(super) cache: Option<Arc<Cache>>,
    /// Compilations go one after the other: together they would take the machine.
    pub(super) compiling: Arc<Semaphore>,
    means: Means,
}

#[derive(Clone, Debug)]
enum Origin {
    /// Each is a child process.
    Child {
        /// The executable.
        program: PathBuf,
        /// What it is told beyond the connection.
        arguments: Vec<String>,
        /// Process ids of those that run.
        living: Workers,
    },
    /// Each is an instance of a socket-activated unit (`Accept=yes`): a connection is a worker, and
    /// the end of the connection its end.
    Socket {
        /// The unit's socket.
        path: PathBuf,
    },
}

impl Source {
    /// Children that run this executable.
    pub(crate) fn child(program: PathBuf, arguments: Vec<String>) -> Self {
        Self::of(Origin::Child {
            program,
            arguments,
            living: Workers::default(),
        })
    }

    /// Connections to this socket of a unit.
    pub(crate) fn socket(path: PathBuf) -> Self {
        Self::of(Origin::Socket { path })
    }

    fn of(origin: Origin) -> Self {
        Self {
            origin,
            cache: None,
            compiling: Arc::new(Semaphore::new(1)),
            means: Means::default(),
        }
    }

    /// The same, with a cache of what has been compiled.
    pub(crate) fn with_cache(self, cache: Cache) -> Self {
        Self {
            cache: Some(Arc::new(cache)),
            ..self
        }
    }

    /// The same, and what plugins ask is answered with these means.
    pub(crate) fn with_means(self, means: Means) -> Self {
        Self { means, ..self }
    }

    /// What the questions of plugins are answered with.
    pub(super) fn means(&self) -> &Means {
        &self.means
    }

    /// Process ids of the workers that run as children, now and later.
    pub(crate) fn workers(&self) -> Workers {
        match &self.origin {
            Origin::Child { living, .. } => living.clone(),
            Origin::Socket { .. } => Workers::default(),
        }
    }

    /// A new worker that has said hello.
    ///
    /// # Errors
    /// [`StartError`] when there is none.
    pub(super) async fn connect(&self) -> Result<Worker, StartError> {
        let (stream, process) = match &self.origin {
            Origin::Child {
                program,
                arguments,
                living,
            } => {
                let spawned = Process::spawn(program, arguments, living.clone()).await;
                let (process, stream) = spawned.map_err(|source| StartError::Program {
                    program: program.clone(),
                    source,
                })?;
                (stream, Some(process))
            }
            Origin::Socket { path } => {
                // Without waiting: the socket's queue may be full.
                let stream = UnixStream::connect(path)
                    .await
                    .and_then(UnixStream::into_std);
                let stream = stream.map_err(|source| StartError::Socket {
                    path: path.clone(),
                    source,
                })?;
                (stream, None)
            }
        };
        let mut connection = Connection::new(stream)?;
        let hello = connection.hello().await?;
        Ok(Worker {
            connection,
            broker: Broker::new(self.means.clone()),
            process,
            hello,
            codes: Codes::default(),
            plugins: Vec::new(),
            in_flight: InFlight::default(),
        })
    }
}

/// A worker that said hello.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) connection: Connection,
    /// Answers what its plugins ask.
    pub(super) broker: Broker,
    /// When it is a child.
    pub(super) process: Option<Process>,
    /// What it says of itself.
    pub(super) hello: Hello,
    /// The code that it runs.
    pub(super) codes: Codes,
    /// What it has loaded.
    pub(super) plugins: Vec<PluginInfo>,
    /// What it runs.
    pub(super) in_flight: InFlight,
}

impl Worker {
    /// How it ended, once it has.
    pub(super) async fn end(&mut self) -> Death {
        match self.process.take() {
            Some(process) => process.end().await.map_or(Death::Unknown, death),
            None => Death::Unknown,
        }
    }
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The executable could not be started.
    #[error("{program} can't be started: {source}", program = program.display())]
    Program {
        /// The executable.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody listens on the unit's socket.
    #[error(
        "nobody listens at {path}: {source}; is mainstay-worker.socket active?",
        path = path.display()
    )]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The executable was replaced between two starts.
    #[error("it was replaced by another one meanwhile")]
    OtherEngine,
    /// It can't be talked to.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// It takes too long to load.
    #[error("it did not load the plugins within {} s", LOAD_LIMIT.as_secs())]
    Slow,
}
