//! The first words with a new worker: it gets its code, and loads everything.

use std::collections::BTreeSet;
use std::io;

use mainstay_protocol::{FromWorker, Load, LoadFault, ToWorker};
use tokio::task::JoinError;

use super::compile::Obtained;
use super::connection::ConnectionError;
use super::in_flight::InFlight;
use super::source::{LOAD_LIMIT, Source, StartError, Worker};
use super::suspects::Death;
use crate::code::{Codes, Plan};

impl Source {
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
        let loaded = worker.load(&load, faults);
        let result = match tokio::time::timeout(LOAD_LIMIT, loaded).await {
            Ok(result) => result,
            Err(_) => Err(LoadError::Start(StartError::Slow)),
        };
        match result {
            Ok(()) => Ok(worker),
            Err(error) => Err(FailedStart {
                loading: worker.in_flight.suspects(),
                death: match &error {
                    LoadError::Faults(_) => None,
                    LoadError::Start(StartError::Slow) => Some(Death::Hung),
                    LoadError::Start(_) => Some(worker.end().await),
                },
                error,
            }),
        }
    }
}

impl Worker {
    /// Makes it load all of this. It is as if it had found these faults itself.
    async fn load(&mut self, load: &Load, mut faults: Vec<LoadFault>) -> Result<(), LoadError> {
        let lost = |error: ConnectionError| LoadError::Start(error.into());
        self.send(load).map_err(StartError::from)?;
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
                Ok(())
            }
            _ => Err(lost(ConnectionError::Unexpected)),
        }
    }

    /// The load, and the code that it needs.
    fn send(&mut self, load: &Load) -> Result<(), ConnectionError> {
        self.broker.serve(load);
        let (in_flight, page) = InFlight::of(load)?;
        self.in_flight = in_flight;
        let message = ToWorker::Load(load.clone());
        self.connection.send_with(&message, page)?;
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
