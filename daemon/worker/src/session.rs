//! The life of a worker: hello, load, and then whatever the daemon asks until it goes away.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mainstay_protocol::carrier::Carrier;
use mainstay_protocol::frame::{self, FrameError};
use mainstay_protocol::{FromWorker, Load, Run, Sealed, SealedError, ToWorker, VERSION};
use mainstay_sandbox::{self as sandbox, Granted, SandboxError};
use tokio::sync::mpsc;
use wasmtime::Engine;

use crate::broker::Broker;
use crate::check::{self, Check};
use crate::code::{Code, CodeError};
use crate::context::Context;
use crate::engine::Ticker;
use crate::frames::{self, Incoming, Outbox};
use crate::hook::Hooks;
use crate::host::{Look, Names, ProcTable, Shared, Slots, SystemAuthorities, Tls, WAITING};
use crate::in_flight::InFlight;
use crate::load::{self, Codes};
use crate::turn::{Turns, WAITING_AT_ONCE};
use crate::{compile, engine, examine, meter, pool};

/// Threads that run guests.
const WORKERS: usize = 2;
/// Calls of hooks at the same time.
const CALLS: usize = 2;
/// Threads for what blocks: looking at processes, and schemas.
const BLOCKING: usize = 4;
/// Bytes of a run beside its memory limit: stack, host functions, results.
const RUN: u64 = 8 << 20;
/// Bytes for all that is not a run.
const BESIDE_RUNS: u64 = 1 << 30;

/// Serves the daemon at the other end of `stream` until it closes it.
///
/// Must be called while the process has one thread, since the confinement holds per thread.
///
/// # Errors
/// [`SessionError`]: the daemon broke the protocol, or the worker cannot be confined or started.
pub fn serve(stream: UnixStream) -> Result<(), SessionError> {
    let engine = engine::new()?;
    let mut stream = Carrier::new(stream);
    let hello = frame::encode(&FromWorker::Hello {
        version: VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        engine: engine::identity(&engine),
        pid: std::process::id(),
    })?;
    stream.send(&hello, None)?;
    match frame::read(&mut stream)? {
        Some(ToWorker::Load(load)) => {
            let page = File::from(carried(&mut stream)?);
            run(stream, page, &engine, load)
        }
        Some(ToWorker::Compile { .. }) => {
            let component = Sealed::try_from(carried(&mut stream)?)?;
            compile::answer(stream, &engine, &component)
        }
        Some(ToWorker::Examine) => {
            let component = Sealed::try_from(carried(&mut stream)?)?;
            examine::answer(stream, &component)
        }
        Some(_) => Err(SessionError::Unexpected("something before the load")),
        None => Ok(()),
    }
}

fn run(
    mut stream: Carrier<UnixStream>,
    page: File,
    engine: &Engine,
    request: Load,
) -> Result<(), SessionError> {
    // What the kernel says of the machine can only be read before; it is kept.
    let _ = (
        rustix::param::page_size(),
        rustix::param::clock_ticks_per_second(),
    );
    let authorities = SystemAuthorities::open();
    let kept_files = sandbox::kept_files();
    for missing in sandbox::enter(&granted(&request), data(&request))? {
        eprintln!("mainstay-worker: confined, but for this: {missing}");
    }
    let Some(codes) = codes(&mut stream, engine, &request)? else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    let stream = stream.into_inner();
    let loaded = loaded(
        stream,
        page,
        engine,
        authorities,
        kept_files,
        codes,
        request,
    );
    let result = runtime.block_on(loaded);
    // A look at the processes may still be going on; nobody waits for it any more.
    runtime.shutdown_background();
    result
}

/// The code of every plugin; `None` when the daemon has gone away instead.
fn codes(
    stream: &mut Carrier<UnixStream>,
    engine: &Engine,
    request: &Load,
) -> Result<Option<Codes>, SessionError> {
    let wanted: BTreeSet<&str> = request.plugins.iter().map(|p| p.code.as_str()).collect();
    let mut codes = Codes::new();
    while codes.len() < wanted.len() {
        match frame::read(stream)? {
            Some(ToWorker::Code { code }) if wanted.contains(code.as_str()) => {
                codes.insert(code, Code::new(engine, carried(stream)?)?);
            }
            Some(_) => return Err(SessionError::Unexpected("something before all code")),
            None => return Ok(None),
        }
    }
    Ok(Some(codes))
}

/// The descriptor that came with a frame.
fn carried(stream: &mut Carrier<UnixStream>) -> Result<OwnedFd, SessionError> {
    let missing = SessionError::Unexpected("a frame without its descriptor");
    stream.descriptors.take().ok_or(missing)
}

async fn loaded(
    stream: UnixStream,
    page: File,
    engine: &Engine,
    authorities: SystemAuthorities,
    kept_files: usize,
    codes: Codes,
    request: Load,
) -> Result<(), SessionError> {
    let outbox = Outbox::new(stream.try_clone()?);
    let mut inbox = frames::inbox(stream)?;
    let grants = request.plugins.iter().map(|spec| &spec.grants.process);
    let broker = Broker::new(outbox.clone());
    let shared = Arc::new(Shared {
        in_flight: InFlight::new(page, request.plugins.len()),
        ticker: Ticker::new(engine)?,
        processes: ProcTable::new(Look::of(grants), kept_files),
        probes: Slots::default(),
        files: Slots::default(),
        names: Names::new(broker.clone()),
        broker,
        tls: Tls::new(authorities),
    });
    let generation = request.generation;
    let most = request.max_concurrent_runs.max(1) as usize;
    let [runs, calls] = Turns::kinds([most, CALLS]);
    let context = Arc::new(Context {
        shared: shared.clone(),
        outbox: outbox.clone(),
        generation,
        runs,
        calls,
    });
    let outcome = tokio::select! {
        outcome = load::load(engine, &shared, &codes, request) => outcome,
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
    inbox: &mut mpsc::Receiver<Result<Incoming, FrameError>>,
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
        let Incoming { message, carried } = message?;
        match message {
            ToWorker::Load(_)
            | ToWorker::Code { .. }
            | ToWorker::Compile { .. }
            | ToWorker::Examine => {
                return Err(SessionError::Unexpected("a second load"));
            }
            ToWorker::Start if started => return Err(SessionError::Unexpected("a second start")),
            ToWorker::Start => {
                started = true;
                let metered = checks.iter().cloned().map(|check| check as Arc<_>);
                let metered = metered.chain(hooks.metered()).collect();
                tokio::spawn(meter::report(context.clone(), metered));
                // All on one task: those that are due at the same time share a wakeup, and what
                // they find goes out together.
                let mut schedules: FuturesUnordered<_> = checks
                    .iter()
                    .enumerate()
                    .map(|(index, check)| {
                        let phase = phase(check.spec.interval_ms, index, checks.len());
                        check::schedule(context.clone(), check.clone(), phase)
                    })
                    .collect();
                tokio::spawn(async move { schedules.next().await });
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
            ToWorker::Answer { id, answer } => context.shared.broker.answered(id, answer, carried),
        }
    }
    Ok(())
}

/// Spreads checks over the first eighth of their interval, in steps of a 64th: those of one step
/// cost one wakeup.
fn phase(interval_ms: u64, index: usize, count: usize) -> Duration {
    let steps = 8 * index / count.max(1);
    let step = Duration::from_millis(interval_ms) / 64;
    step * u32::try_from(steps).unwrap_or(0)
}

/// What the confinement leaves open for the plugins.
fn granted(request: &Load) -> Granted {
    let mut granted = Granted::default();
    for spec in &request.plugins {
        let grants = &spec.grants;
        granted
            .pid_files
            .extend_from_slice(&grants.process.pid_files);
        granted.directories.extend_from_slice(&grants.files);
        granted.sockets |= !grants.wasi_sockets.addresses.is_empty();
    }
    granted
}

/// Memory for what the runs may use, those that wait without a turn and what pools keep included, and for everything
/// else.
fn data(request: &Load) -> u64 {
    let runs = u64::from(request.max_concurrent_runs).saturating_add(CALLS as u64 + 1);
    let limits = request.plugins.iter().map(|spec| spec.limits.memory);
    let run = limits.max().unwrap_or(0).saturating_add(RUN);
    let pools = request.plugins.iter().map(|spec| pool::data(&spec.limits));
    let pools = pools.fold(0u64, u64::saturating_add).min(pool::ROOM);
    let waiting = (WAITING_AT_ONCE as u64).saturating_mul(RUN.saturating_add(WAITING));
    let runs = runs.saturating_mul(run).saturating_add(waiting);
    runs.saturating_add(pools).saturating_add(BESIDE_RUNS)
}

/// Why a worker ended before the daemon let it go.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The daemon sent something that does not come at this point.
    #[error("the daemon sent {0}")]
    Unexpected(&'static str),
    /// A descriptor was not what it has to be.
    #[error("the daemon sent something else than sealed bytes")]
    Sealed(#[from] SealedError),
    /// Code cannot be run here.
    #[error("the daemon sent code that cannot be used")]
    Code(#[from] CodeError),
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
