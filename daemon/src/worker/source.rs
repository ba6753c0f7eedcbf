//! Where workers come from, and the first words with a new one.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mainstay_protocol::{FromWorker, Load, LoadFault, PluginInfo, ToWorker};

use tokio::net::UnixStream;
use tokio::task::JoinError;

use super::connection::{Connection, ConnectionError};
use super::process::{Process, death};
use super::relay;
use super::suspects::Death;
use crate::control::Workers;

/// How long a worker may take to load: every plugin may have to be compiled.
const LOAD_LIMIT: Duration = Duration::from_secs(240);

/// Where workers come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
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
        Self::Child {
            program,
            arguments,
            living: Workers::default(),
        }
    }

    /// Process ids of the workers that run as children, now and later.
    pub(crate) fn workers(&self) -> Workers {
        match self {
            Self::Child { living, .. } => living.clone(),
            Self::Socket { .. } => Workers::default(),
        }
    }

    /// A new worker that has loaded all of this, and not begun.
    ///
    /// # Errors
    /// [`LoadError`], with the plugin that was being loaded when the worker died.
    pub(super) async fn start(&self, load: &Load) -> Result<Worker, FailedStart> {
        let mut worker = match self.connect().await {
            Ok(worker) => worker,
            Err(error) => return Err(FailedStart::of(LoadError::Start(error))),
        };
        let mut loading = BTreeSet::new();
        let result = match tokio::time::timeout(LOAD_LIMIT, worker.load(load, &mut loading)).await {
            Ok(result) => result,
            Err(_) => Err(LoadError::Start(StartError::Slow)),
        };
        match result {
            Ok(()) => Ok(worker),
            Err(error) => Err(FailedStart {
                death: match (&error, worker.process.take()) {
                    (LoadError::Faults(_), _) => None,
                    (LoadError::Start(StartError::Slow), _) => Some(Death::Hung),
                    (LoadError::Start(_), Some(process)) => {
                        Some(process.end().await.map_or(Death::Unknown, death))
                    }
                    (LoadError::Start(_), None) => Some(Death::Unknown),
                },
                error,
                loading,
            }),
        }
    }

    async fn connect(&self) -> Result<Worker, StartError> {
        let (stream, process) = match self {
            Self::Child {
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
            Self::Socket { path } => {
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
        let (build, pid) = connection.hello().await?;
        Ok(Worker {
            connection,
            process,
            build,
            pid,
            plugins: Vec::new(),
        })
    }
}

/// A worker that said hello.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) connection: Connection,
    /// When it is a child.
    pub(super) process: Option<Process>,
    /// Its build, as it says.
    pub(super) build: String,
    /// Its process id, as it says.
    pub(super) pid: u32,
    /// What it has loaded.
    pub(super) plugins: Vec<PluginInfo>,
}

impl Worker {
    async fn load(&mut self, load: &Load, loading: &mut BTreeSet<String>) -> Result<(), LoadError> {
        let lost = |error: ConnectionError| LoadError::Start(error.into());
        self.connection
            .send(&ToWorker::Load(load.clone()))
            .map_err(lost)?;
        loop {
            match self.connection.next().await.map_err(lost)? {
                FromWorker::Loaded {
                    generation,
                    plugins,
                    faults,
                } if generation == load.generation => {
                    if !faults.is_empty() {
                        return Err(LoadError::Faults(faults));
                    }
                    self.plugins = plugins;
                    return Ok(());
                }
                FromWorker::RunStarted { plugin, .. }
                    if load.plugins.iter().any(|spec| spec.name == plugin) =>
                {
                    // Plugins are loaded one after the other.
                    loading.clear();
                    loading.insert(plugin);
                }
                other => relay::log(&other),
            }
        }
    }
}

/// A worker that did not come to serve.
#[derive(Debug)]
pub(super) struct FailedStart {
    pub(super) error: LoadError,
    /// The plugin that was being loaded.
    pub(super) loading: BTreeSet<String>,
    /// How it ended, when it did not end by plan.
    pub(super) death: Option<Death>,
}

impl FailedStart {
    /// The task that started it is gone.
    pub(super) fn without_task(error: &JoinError) -> Self {
        let error = io::Error::other(error.to_string());
        Self::of(LoadError::Start(ConnectionError::Io(error).into()))
    }

    fn of(error: LoadError) -> Self {
        Self {
            error,
            loading: BTreeSet::new(),
            death: None,
        }
    }
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Something is wrong with the plugins or their settings.
    #[error("{} faults in plugins or their settings", .0.len())]
    Faults(Vec<LoadFault>),
    /// There is no worker to load anything.
    #[error("the plugin worker: {0}")]
    Start(#[from] StartError),
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
    /// It can't be talked to.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// It takes too long to load.
    #[error("it did not load the plugins within {} s", LOAD_LIMIT.as_secs())]
    Slow,
}
