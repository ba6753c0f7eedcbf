//! A worker for the length of a command. These functions block, and make a runtime of their own:
//! they are not for the daemon.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use mainstay_protocol::{Anatomy, FromWorker, PluginInfo, Run, RunReport, Sealed, ToWorker};

use super::compile::Obtained;
use super::connection::ConnectionError;
use super::relay;
use super::source::{Source, StartError, Worker};
use super::start::LoadError;
use crate::code::{Codes, Plan};

/// Reading the outline of the largest component takes a moment.
const EXAMINE_LIMIT: Duration = Duration::from_secs(60);

/// Beyond the check's own timeout.
const RUN_GRACE: Duration = Duration::from_secs(10);

/// Loads all of this, and ends the worker again.
///
/// # Errors
/// [`LoadError::Faults`] with everything that is wrong, [`LoadError::Start`] without a worker.
pub(crate) fn load_once(source: &Source, plan: &Plan) -> Result<Loaded, LoadError> {
    block_on(async {
        let worker = start(source, plan).await?;
        Ok(Loaded {
            plugins: worker.plugins,
            codes: worker.codes,
        })
    })
}

/// Compiles what is not in the cache yet, and loads nothing.
///
/// # Errors
/// As [`load_once`], but settings are not looked at.
pub(crate) fn compile_once(source: &Source, plan: &Plan) -> Result<Codes, LoadError> {
    block_on(async {
        let engine = source.connect().await?.hello.engine;
        let nothing_known = Codes::default();
        let obtained = source.obtain(plan, &plan.load, &engine, &nothing_known);
        let Obtained { codes, faults } = obtained.await?;
        match faults.is_empty() {
            true => Ok(codes),
            false => Err(LoadError::Faults(faults)),
        }
    })
}

/// Has a worker look at the component that a plan has, without running anything of it.
///
/// # Errors
/// [`StartError`] without a worker, or when it does not answer.
pub(crate) fn examine_once(source: &Source, component: &Sealed) -> Result<Anatomy, LoadError> {
    let examined = async {
        let mut worker = source.connect().await?;
        let component = component.try_clone().map_err(ConnectionError::from)?;
        worker.connection.send_with(&ToWorker::Examine, component)?;
        loop {
            match worker.connection.next().await? {
                FromWorker::Examined(anatomy) => return Ok::<_, StartError>(anatomy),
                other => relay::log(&other),
            }
        }
    };
    block_on(async {
        match tokio::time::timeout(EXAMINE_LIMIT, examined).await {
            Ok(anatomy) => Ok(anatomy?),
            Err(_) => Err(LoadError::Start(StartError::Slow)),
        }
    })
}

/// What a worker has loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What it found out about each plugin.
    pub(crate) plugins: Vec<PluginInfo>,
    /// What each runs.
    pub(crate) codes: Codes,
}

async fn start(source: &Source, plan: &Plan) -> Result<Worker, LoadError> {
    let (nothing_rests, nothing_known) = (BTreeSet::new(), Codes::default());
    let started = source.start(plan, &nothing_rests, &nothing_known);
    started.await.map_err(|failed| failed.error)
}

/// Loads all of this and runs one of its checks once.
///
/// # Errors
/// As [`load_once`].
pub(crate) fn run_once(source: &Source, plan: &Plan, check: &str) -> Result<RunReport, LoadError> {
    let timeout = plan.load.checks.iter().map(|check| check.timeout_ms).max();
    let limit = Duration::from_millis(timeout.unwrap_or(0)) + RUN_GRACE;
    block_on(async {
        let mut worker = start(source, plan).await?;
        let run = ToWorker::Run(Run {
            check: check.to_owned(),
        });
        let report = async {
            worker.connection.send(&run)?;
            loop {
                match worker.next().await? {
                    FromWorker::Ran(report) => return Ok::<_, StartError>(report),
                    other => relay::log(&other),
                }
            }
        };
        match tokio::time::timeout(limit, report).await {
            Ok(report) => Ok(report?),
            Err(_) => Err(LoadError::Start(StartError::Slow)),
        }
    })
}

fn block_on<T>(task: impl Future<Output = Result<T, LoadError>>) -> Result<T, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let no_runtime = |error: io::Error| LoadError::Start(StartError::Connection(error.into()));
    runtime.map_err(no_runtime)?.block_on(task)
}
