//! The life of a worker: hello, load, and then whatever the daemon asks until it goes away.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_protocol::frame::{self, FrameError};
use mainstay_protocol::{FromWorker, Load, Run, ToWorker, VERSION};
use tokio::sync::{Semaphore, mpsc};

use crate::check::{self, Check};
use crate::context::Context;
use crate::frames::{self, Outbox};
use crate::hook::Hooks;
use crate::host::{Look, ProbeSlots, ProcTable, Shared};
use crate::load::{self, Candidate};
use crate::{SandboxError, engine, file, sandbox};

/// Threads that run guests.
const WORKERS: usize = 2;
/// Calls of hooks at the same time.
const CALLS: usize = 2;
/// Threads for what blocks: looking at processes, compiling.
const BLOCKING: usize = 4;

/// Serves the daemon at the other end of `stream` until it closes it.
///
/// Must be called while the process has one thread, since the confinement holds per thread.
///
/// # Errors
/// [`SessionError`]: the daemon broke the protocol, or the worker cannot be confined or started.
pub fn serve(mut stream: UnixStream) -> Result<(), SessionError> {
    frame::write(
        &mut stream,
        &FromWorker::Hello {
            version: VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        },
    )?;
    let mut request = match frame::read(&mut stream)? {
        Some(ToWorker::Load(load)) => load,
        Some(_) => return Err(SessionError::Unexpected("something before the load")),
        None => return Ok(()),
    };
    let candidates: Vec<Candidate> = std::mem::take(&mut request.plugins)
        .into_iter()
        .map(|spec| {
            let binary = file::read(&spec.file, spec.sha256.as_deref());
            (spec, binary)
        })
        .collect();
    for missing in sandbox::enter(&pid_files(&candidates))? {
        eprintln!("mainstay-worker: confined, but for this: {missing}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    let result = runtime.block_on(loaded(stream, candidates, request));
    // A compilation may still be going on; nobody waits for it any more.
    runtime.shutdown_background();
    result
}

async fn loaded(
    stream: UnixStream,
    candidates: Vec<Candidate>,
    request: Load,
) -> Result<(), SessionError> {
    stream.set_nonblocking(true)?;
    let (reader, writer) = tokio::net::UnixStream::from_std(stream)?.into_split();
    let mut inbox = frames::inbox(reader);
    let outbox = Outbox::new(writer);
    let engine = engine::start()?;
    let shared = Arc::new(Shared {
        processes: ProcTable::new(look(&candidates)),
        probes: ProbeSlots::default(),
    });
    let generation = request.generation;
    let context = Arc::new(Context {
        shared: shared.clone(),
        outbox: outbox.clone(),
        generation,
        runs: Semaphore::new(request.max_concurrent_runs.max(1) as usize),
        calls: Semaphore::new(CALLS),
    });
    let outcome = tokio::select! {
        outcome = load::load(&engine, &shared, &outbox, candidates, request) => outcome,
        early = inbox.recv() => return match early {
            None => Ok(()),
            Some(Ok(_)) => Err(SessionError::Unexpected("something before the answer to the load")),
            Some(Err(error)) => Err(error.into()),
        },
    };
    let served = outcome.faults.is_empty();
    outbox
        .send(&FromWorker::Loaded {
            generation,
            plugins: outcome.plugins,
            faults: outcome.faults,
        })
        .await;
    let (checks, hooks) = if served {
        (outcome.checks, outcome.hooks)
    } else {
        (Vec::new(), Vec::new())
    };
    obey(
        &mut inbox,
        &context,
        checks,
        Hooks::new(context.clone(), hooks),
    )
    .await
}

/// Does what the daemon asks until it closes the stream.
async fn obey(
    inbox: &mut mpsc::Receiver<Result<ToWorker, FrameError>>,
    context: &Arc<Context>,
    checks: Vec<Check>,
    mut hooks: Hooks,
) -> Result<(), SessionError> {
    let checks: Vec<Arc<Check>> = checks.into_iter().map(Arc::new).collect();
    let by_name: HashMap<&str, &Arc<Check>> = checks
        .iter()
        .map(|check| (check.spec.name.as_str(), check))
        .collect();
    let mut started = false;
    while let Some(message) = inbox.recv().await {
        match message? {
            ToWorker::Load(_) => return Err(SessionError::Unexpected("a second load")),
            ToWorker::Start if started => return Err(SessionError::Unexpected("a second start")),
            ToWorker::Start => {
                started = true;
                for (index, check) in checks.iter().enumerate() {
                    let phase = phase(check.spec.interval_ms, index, checks.len());
                    tokio::spawn(check::schedule(context.clone(), check.clone(), phase));
                }
            }
            ToWorker::Run(Run { check }) => {
                let Some(check) = by_name.get(check.as_str()) else {
                    return Err(SessionError::Unexpected(
                        "a run of a check that is not loaded",
                    ));
                };
                let (context, check) = (context.clone(), Arc::clone(check));
                tokio::spawn(async move {
                    let report = check::run_once(&context, &check).await;
                    context.outbox.send(&FromWorker::Ran(report)).await;
                });
            }
            ToWorker::Event { hook, event } => hooks.deliver(hook, event).await,
        }
    }
    Ok(())
}

/// Spreads checks over the first eighth of their interval.
fn phase(interval_ms: u64, index: usize, count: usize) -> Duration {
    let eighth = Duration::from_millis(interval_ms) / 8;
    let share = index as f64 / count.max(1) as f64;
    eighth.mul_f64(share)
}

fn pid_files(candidates: &[Candidate]) -> Vec<PathBuf> {
    candidates
        .iter()
        .flat_map(|(spec, _)| spec.grants.process.pid_files.iter().cloned())
        .collect()
}

fn look(candidates: &[Candidate]) -> Look {
    let granted = || candidates.iter().map(|(spec, _)| &spec.grants.process);
    Look {
        commands: granted().any(|grant| !grant.commands.is_empty()),
        units: granted().any(|grant| !grant.units.is_empty()),
    }
}

/// Why a worker ended before the daemon let it go.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The daemon sent something that does not come at this point.
    #[error("the daemon sent {0}")]
    Unexpected(&'static str),
    /// A frame was not one.
    #[error("the control stream failed")]
    Frame(#[from] FrameError),
    /// The confinement could not be put on.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Wasmtime could not be set up.
    #[error("wasmtime cannot be used here")]
    Engine(#[from] wasmtime::Error),
    /// The runtime or the stream could not be set up.
    #[error("the worker cannot start")]
    Io(#[from] std::io::Error),
}
