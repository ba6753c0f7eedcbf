//! Where workers come from, and the first words with a new one.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_protocol::{FromWorker, Load, LoadFault, PluginInfo, ToWorker};

use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::compile::Obtained;
use super::connection::{Connection, ConnectionError, Hello};
use super::process::{Process, death};
use super::relay;
use super::suspects::Death;
use crate::code::{Cache, Codes, Plan};
use crate::control::Workers;

/// How long a worker may take to load: every plugin has to describe itself, every setting to be
/// validated.
const LOAD_LIMIT: Duration = Duration::from_secs(240);

/// Where workers come from, and the code that they run.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    origin: Origin,
    pub(super) cache: Option<Arc<Cache>>,
    /// Compilations go one after the other: together they would take the machine.
    pub(super) compiling: Arc<Semaphore>,
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
        }
    }

    /// The same, with a cache of what has been compiled.
    pub(crate) fn with_cache(self, cache: Cache) -> Self {
        Self {
            cache: Some(Arc::new(cache)),
            ..self
        }
    }

    /// Process ids of the workers that run as children, now and later.
    pub(crate) fn workers(&self) -> Workers {
        match &self.origin {
            Origin::Child { living, .. } => living.clone(),
            Origin::Socket { .. } => Workers::default(),
        }
    }

    /// A new worker that has loaded the plan but for the plugins that rest, and not begun. Code that
    /// is `known` is taken as it is: a file that was replaced since changes nothing.
    ///
    /// # Errors
    /// [`LoadError`], with the plugin that was being loaded when the worker died.
    pub(super) async fn start(
        &self,
        plan: &Plan,
        resting: &BTreeSet<String>,
        known: &Codes,
    ) -> Result<Worker, FailedStart> {
        let start = |error| FailedStart::of(LoadError::Start(error));
        let mut worker = self.connect().await.map_err(start)?;
        let load = plan.load_without(resting);
        let obtained = self.obtain(plan, &load, &worker.hello.engine, known).await;
        let Obtained { codes, faults } = obtained.map_err(start)?;
        let broken = load.plugins.iter();
        let broken = broken.filter(|spec| !codes.by_digest.contains_key(&spec.code));
        let broken: BTreeSet<String> = broken.map(|spec| spec.name.clone()).collect();
        let load = plan.load_without(&resting.union(&broken).cloned().collect());
        worker.codes = codes;
        let mut loading = BTreeSet::new();
        let loaded = worker.load(&load, faults, &mut loading);
        let result = match tokio::time::timeout(LOAD_LIMIT, loaded).await {
            Ok(result) => result,
            Err(_) => Err(LoadError::Start(StartError::Slow)),
        };
        match result {
            Ok(()) => Ok(worker),
            Err(error) => Err(FailedStart {
                death: match &error {
                    LoadError::Faults(_) => None,
                    LoadError::Start(StartError::Slow) => Some(Death::Hung),
                    LoadError::Start(_) => Some(worker.end().await),
                },
                error,
                loading,
            }),
        }
    }

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
            process,
            hello,
            codes: Codes::default(),
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
    /// What it says of itself.
    pub(super) hello: Hello,
    /// The code that it runs.
    pub(super) codes: Codes,
    /// What it has loaded.
    pub(super) plugins: Vec<PluginInfo>,
}

impl Worker {
    /// How it ended, once it has.
    pub(super) async fn end(&mut self) -> Death {
        match self.process.take() {
            Some(process) => process.end().await.map_or(Death::Unknown, death),
            None => Death::Unknown,
        }
    }

    /// Makes it load all of this. It is as if it had found these faults itself.
    async fn load(
        &mut self,
        load: &Load,
        mut faults: Vec<LoadFault>,
        loading: &mut BTreeSet<String>,
    ) -> Result<(), LoadError> {
        let lost = |error: ConnectionError| LoadError::Start(error.into());
        self.send(load).map_err(StartError::from)?;
        loop {
            match self.connection.next().await.map_err(lost)? {
                FromWorker::Loaded {
                    generation,
                    plugins,
                    faults: found,
                } if generation == load.generation => {
                    faults.extend(found);
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

    /// The load, and the code that it needs.
    fn send(&mut self, load: &Load) -> Result<(), ConnectionError> {
        self.connection.send(&ToWorker::Load(load.clone()))?;
        let wanted: BTreeSet<&String> = load.plugins.iter().map(|spec| &spec.code).collect();
        for digest in wanted {
            if let Some(code) = self.codes.by_digest.get(digest) {
                let message = ToWorker::Code {
                    code: digest.clone(),
                };
                self.connection
                    .send_with(&message, code.sealed.try_clone()?)?;
            }
        }
        Ok(())
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
