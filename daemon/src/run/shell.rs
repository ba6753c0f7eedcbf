//! Everything around the engine: brings it up, keeps its surroundings going, takes it down.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use mainstay_core::Engine;
use mainstay_core::event::Event;
use mainstay_core::input::{Command, Input};
use mainstay_core::record::Legacy;
use mainstay_kernel::clock;
use mainstay_kernel::frame_socket::FrameSocket;
use mainstay_kernel::route::{self, RouteError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};

use super::engine::{EngineThread, Watchdog};
use super::mailbox::{Mailbox, mailbox};
use super::outlets::{Outlets, Troubles};
use super::reload::Configuration;
use super::sockets::Sockets;
use crate::code::Cache;
use crate::config::{self, Config};
use crate::control::{self, Admission, Listener, Request, Response, RuntimeDir, StatusDocument};
use crate::hooks;
use crate::keeping::{self, Keeping};
use crate::logging::Logging;
use crate::manifest::{Manifest, Owned, Place};
use crate::metrics;
use crate::resume::ResumePage;
use crate::systemd::{self, Notifier};
use crate::worker::{Means, Routers, Source, Supervisor};

/// Changes of addresses that may wait for the kernel.
const REQUESTS: usize = 1024;

/// Lines for the log that may wait.
const LINES: usize = 1024;

/// How long the hooks have, at the end, to hear of the last transitions.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where the daemon finds and leaves things.
#[derive(Clone, Debug)]
pub(crate) struct RunOptions {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// Control socket, lock and resume page.
    pub(crate) runtime_dir: PathBuf,
    /// The manifest.
    pub(crate) state_dir: PathBuf,
    /// Compiled plugins.
    pub(crate) cache_dir: PathBuf,
    /// What the configuration cannot say itself.
    pub(crate) reading: config::Options,
    /// Where workers come from.
    pub(crate) worker: Source,
}

/// Runs until it is told to stop.
///
/// # Errors
/// Whatever keeps the daemon from starting or going on, other than a configuration that is wrong:
/// that is printed, and the exit code is 78.
pub(crate) fn run(
    options: &RunOptions,
    config: Config,
    logging: &Arc<Logging>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no event loop")?;
    let code = runtime.block_on(serve(options, config, logging));
    // Whoever reads a slow file meanwhile is not waited for.
    runtime.shutdown_background();
    code
}

/// Where workers come from, with a cache unless that cannot be relied on.
fn with_cache(options: &RunOptions) -> Source {
    let source = options.worker.clone();
    match Cache::keeping(&options.cache_dir, &options.state_dir) {
        Ok(cache) => source.with_cache(cache),
        Err(error) => {
            tracing::warn!("every start compiles all plugins, without a cache: {error}");
            source
        }
    }
}

/// How plugins see the routers: as the engine says on demand.
fn routers(mailbox: Mailbox) -> Routers {
    Routers::new(Box::new(move || {
        let mailbox = mailbox.clone();
        Box::pin(async move { mailbox.status().await.map(|(status, _)| status) })
    }))
}

async fn serve(
    options: &RunOptions,
    config: Config,
    logging: &Arc<Logging>,
) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let notifier = Notifier::from_env().context("the service manager can't be told anything")?;
    let runtime_dir = RuntimeDir::take(&options.runtime_dir)?;
    let listener = Listener::bind(&runtime_dir).context("no control socket")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    // The engine first: a restart has no time to lose, and no router becomes active before its
    // checks have spoken.
    let (event_sender, events) = hooks::channel();
    let (log_sender, lines) = mpsc::channel(LINES);
    let (request_sender, requests) = mpsc::channel(REQUESTS);
    let (mailbox, inbox) = mailbox()?;
    let (manifest, legacy, page) = inheritance(options, &config).await?;
    let thread = EngineThread {
        engine: Engine::new(clock::now(), &config.settings, legacy),
        inbox,
        outlets: Outlets {
            sockets: Sockets::default(),
            frames: FrameSocket::open().context("no socket for gratuitous ARP")?,
            route: request_sender,
            hooks: event_sender,
            log: log_sender,
            page,
            troubles: Troubles::default(),
        },
        watchdog: watchdog(notifier.as_ref()),
    };
    let mut engine = spawn(thread)?;
    let mut kernel = spawn_kernel(requests, mailbox.clone())?;
    tokio::spawn(log(lines));

    let verdicts = mailbox.clone();
    let keeping = Keeping::in_directory(options.state_dir.join("plugins"));
    tokio::spawn({
        let keeping = keeping.clone();
        async move { keeping.write_changes(keeping::PAUSE).await }
    });
    let means = Means::new(keeping.clone(), routers(mailbox.clone()));
    let supervisor = Arc::new(Supervisor::spawn(
        with_cache(options).with_means(means),
        config.subscriptions.clone(),
        events,
        Box::new(move |found| verdicts.inputs(found.into_iter().map(Input::Verdict))),
    ));
    let configuration = Arc::new(Configuration::new(
        options.config.clone(),
        options.reading.clone(),
        mailbox.clone(),
        Arc::clone(&supervisor),
        notifier.clone(),
        manifest,
    ));
    let answering = Answering {
        node: config.node.clone(),
        started,
        mailbox: mailbox.clone(),
        supervisor: Arc::clone(&supervisor),
        configuration: Arc::clone(&configuration),
        logging: Arc::clone(logging),
    };
    let admission = Admission::new(options.worker.workers());
    let scraped = answering.clone();
    tokio::spawn(metrics::serve(configuration.metrics(), move || {
        let scraped = scraped.clone();
        async move { scraped.metrics().await }
    }));
    tokio::spawn(control::serve(listener, admission, move |request| {
        let answering = answering.clone();
        async move { answering.answer(request).await }
    }));

    // However many hangups come, one reload runs and one more is wanted.
    let reload = Arc::new(Notify::new());
    tokio::spawn({
        let (reload, configuration) = (Arc::clone(&reload), Arc::clone(&configuration));
        async move {
            loop {
                reload.notified().await;
                configuration.reload().await;
            }
        }
    });
    let mut code = ExitCode::SUCCESS;
    let mut ready = tokio::spawn({
        let configuration = Arc::clone(&configuration);
        async move { configuration.begin(config).await }
    });
    let (mut starting, mut watching) = (true, true);
    let outcome = loop {
        tokio::select! {
            result = &mut ready, if starting => {
                starting = false;
                match result.context("the start failed")? {
                    Ok(summary) => {
                        tracing::info!("{summary}");
                        tell(notifier.as_ref(), |notifier| notifier.ready(&summary));
                    }
                    Err(_) if configuration.is_stopping() => {}
                    Err(refusal) => {
                        for problem in &refusal.problems {
                            tracing::error!("{problem}");
                        }
                        code = ExitCode::from(refusal.exit_code());
                        mailbox.input(Input::Command(Command::Stop));
                    }
                }
            }
            _ = terminate.recv() => stop(notifier.as_ref(), &mailbox, &configuration),
            _ = interrupt.recv() => stop(notifier.as_ref(), &mailbox, &configuration),
            _ = hangup.recv() => reload.notify_one(),
            result = &mut kernel, if watching => match result {
                // The engine has let go of its end: it is about to tell why.
                Ok(Ok(())) => watching = false,
                Ok(Err(error)) => {
                    break Err(anyhow!(error).context("the kernel no longer tells of interfaces"));
                }
                Err(error) => break Err(anyhow!(error)),
            },
            result = &mut engine => {
                break match result {
                    Ok(result) => result.context("the engine can't go on"),
                    Err(_) => Err(anyhow!("the engine thread is gone")),
                };
            }
        }
    };
    // Without the engine nobody advertises: whoever starts us again decides within the down
    // interval, so nothing is torn down here after a failure.
    let left = outcome?;
    supervisor.stop(LAST_WORDS).await;
    if !keeping.flush().await {
        tracing::error!("what plugins have kept is lost in part: it could not be written");
    }
    configuration.shrink_manifest(left).await;
    Ok(code)
}

/// What an earlier process has left, and the manifest that covers this configuration too.
async fn inheritance(
    options: &RunOptions,
    config: &Config,
) -> anyhow::Result<(Manifest, Legacy, ResumePage)> {
    let place = Place::here().context("where this is can't be told")?;
    let (page, records) = ResumePage::open(&options.runtime_dir, &place.boot_id)
        .context("no page for a restart in the runtime directory")?;
    let mut manifest = Manifest::open_or_set_aside(&options.state_dir, place)?;
    let legacy = Legacy {
        records,
        manifest: manifest.addresses(),
    };
    let unmarked = route::unmarked().await?;
    manifest.claim(super::reload::addresses(&config.settings), &unmarked)?;
    Ok((manifest, legacy, page))
}

fn spawn(thread: EngineThread) -> anyhow::Result<oneshot::Receiver<std::io::Result<Vec<Owned>>>> {
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || {
            // Nobody listens any more only when the process is ending.
            let _ = done.send(thread.run());
        })
        .context("no engine thread")?;
    Ok(result)
}

/// Addresses have a thread of their own: a takeover waits for no file and no worker.
fn spawn_kernel(
    requests: mpsc::Receiver<route::Request>,
    mailbox: Mailbox,
) -> anyhow::Result<oneshot::Receiver<Result<(), RouteError>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no event loop for the kernel's events")?;
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("kernel".to_owned())
        .spawn(move || {
            let inputs = move |input| mailbox.input(input);
            let _ = done.send(runtime.block_on(route::run(requests, inputs)));
        })
        .context("no thread for the kernel's events")?;
    Ok(result)
}

fn watchdog(notifier: Option<&Notifier>) -> Option<Watchdog> {
    Some(Watchdog {
        notifier: notifier?.clone(),
        interval: systemd::watchdog_interval()?,
        fed_at: clock::now().boottime,
    })
}

fn stop(notifier: Option<&Notifier>, mailbox: &Mailbox, configuration: &Configuration) {
    if configuration.is_stopping() {
        return;
    }
    configuration.stop();
    tracing::info!("stopping: addresses are kept until another router is heard");
    tell(notifier, Notifier::stopping);
    mailbox.input(Input::Command(Command::Stop));
}

fn tell(notifier: Option<&Notifier>, what: impl FnOnce(&Notifier) -> std::io::Result<()>) {
    if let Some(notifier) = notifier
        && let Err(error) = what(notifier)
    {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// Writes what the engine tells people.
async fn log(mut lines: mpsc::Receiver<Event>) {
    while let Some(event) = lines.recv().await {
        match event {
            Event::Transition(transition) => tracing::info!(
                router = transition.router,
                interface = transition.interface,
                id = transition.id,
                from = %transition.from,
                to = %transition.to,
                priority = transition.priority,
                "{} is {}: {}",
                transition.router,
                transition.to,
                transition.why(),
            ),
            Event::Check(_) => {}
            Event::Notice(notice) if notice.loud => {
                tracing::warn!("{}: {}", notice.subject, notice.message);
            }
            Event::Notice(notice) => tracing::info!("{}: {}", notice.subject, notice.message),
        }
    }
}

/// What the control socket's requests need.
#[derive(Clone)]
struct Answering {
    node: String,
    started: Instant,
    mailbox: Mailbox,
    supervisor: Arc<Supervisor>,
    configuration: Arc<Configuration>,
    logging: Arc<Logging>,
}

impl Answering {
    async fn answer(self, request: Request) -> Response {
        let gone = || Response::failed("the daemon is ending");
        match request {
            Request::Status => {
                let Some((engine, packets_dropped)) = self.mailbox.status().await else {
                    return gone();
                };
                let worker = self.supervisor.status();
                Response::Status(Box::new(StatusDocument {
                    node: self.node,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    uptime_seconds: self.started.elapsed().as_secs_f64(),
                    refused_reload: self.configuration.refused(),
                    engine,
                    packets_dropped,
                    plugins: control::PluginStatus::of(&worker),
                    worker,
                    log_lines_dropped: self.logging.dropped(),
                }))
            }
            Request::Explain { router } => match self.mailbox.explain(router.clone()).await {
                Some(explanations) if explanations.is_empty() && router.is_some() => {
                    Response::failed(format!("there is no router {}", router.unwrap_or_default()))
                }
                Some(explanations) => Response::Explain(explanations),
                None => gone(),
            },
            Request::Metrics => match self.metrics().await {
                Some(text) => Response::Metrics(text),
                None => gone(),
            },
            Request::Reload => self.configuration.reload().await,
        }
    }

    /// The metrics now; none when the engine is gone.
    async fn metrics(&self) -> Option<String> {
        let (engine, _) = self.mailbox.status().await?;
        Some(metrics::text(metrics::Snapshot {
            engine,
            worker: self.supervisor.status(),
            counters: self.supervisor.totals().counters(),
        }))
    }
}
