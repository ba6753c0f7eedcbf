//! The configuration in force, and how another one takes its place: everything is loaded and
//! validated first, then the manifest is written, then engine and worker change over.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::input::Input;
use mainstay_core::settings::Settings;
use mainstay_kernel::{clock, route};
use mainstay_protocol::DaemonPhase;
use tokio::sync::{Mutex, watch};

use super::mailbox::Mailbox;
use crate::config::{self, Config, Problem};
use crate::control::{RefusedReload, Response};
use crate::exit;
use crate::manifest::{Manifest, Owned};
use crate::systemd::Notifier;
use crate::worker::{LoadError, Prepared, Supervisor};

/// Between the first tries for a worker.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// What it takes to change the configuration.
pub(super) struct Configuration {
    file: PathBuf,
    reading: config::Options,
    mailbox: Mailbox,
    supervisor: Arc<Supervisor>,
    notifier: Option<Notifier>,
    stopping: watch::Sender<bool>,
    refused: watch::Sender<Option<RefusedReload>>,
    /// Where metrics are served.
    metrics: watch::Sender<Option<SocketAddr>>,
    state: Mutex<State>,
}

/// What only one change at a time may touch.
struct State {
    manifest: Manifest,
    generation: u64,
    /// Whether there is a worker, which a configuration without plugins does not need.
    worker: bool,
}

impl Configuration {
    pub(super) fn new(
        file: PathBuf,
        reading: config::Options,
        mailbox: Mailbox,
        supervisor: Arc<Supervisor>,
        notifier: Option<Notifier>,
        manifest: Manifest,
    ) -> Self {
        Self {
            file,
            reading,
            mailbox,
            supervisor,
            notifier,
            stopping: watch::Sender::new(false),
            refused: watch::Sender::new(None),
            metrics: watch::Sender::new(None),
            state: Mutex::new(State {
                manifest,
                generation: 0,
                worker: false,
            }),
        }
    }

    /// Loads the plugins of the configuration that the engine was started with.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(super) async fn begin(&self, config: Config) -> Result<String, Refusal> {
        let mut state = self.state.lock().await;
        let load = async {
            if let Some(prepared) = self.prepare_patiently(&state, &config).await? {
                state.worker = true;
                for warning in unmet(&config, Some(&prepared)) {
                    tracing::warn!("{warning:#}");
                }
                self.supervisor.adopt(prepared, config.subscriptions).await;
            }
            self.metrics.send_replace(config.metrics);
            self.announce(DaemonPhase::Started).await;
            Ok(summary(&config.settings))
        };
        self.unless_stopping(load).await
    }

    /// From now on nothing is loaded, and what is under way is given up. Waits for nothing.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
        let supervisor = Arc::clone(&self.supervisor);
        let at = clock::now().realtime;
        tokio::spawn(async move { supervisor.announce(DaemonPhase::Stopping, at).await });
    }

    /// Tells the hooks.
    async fn announce(&self, phase: DaemonPhase) {
        let at = clock::now().realtime;
        self.supervisor.announce(phase, at).await;
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Where metrics are to be served, now and later.
    pub(super) fn metrics(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.metrics.subscribe()
    }

    /// The last reload, when it was refused.
    pub(super) fn refused(&self) -> Option<RefusedReload> {
        self.refused.borrow().clone()
    }

    /// Reads the file again and applies it; what is wrong with it changes nothing.
    pub(super) async fn reload(&self) -> Response {
        let mut state = self.state.lock().await;
        if self.is_stopping() {
            return Response::failed("the daemon is stopping, nothing is reloaded");
        }
        self.tell(Notifier::reloading);
        let result = self.unless_stopping(self.apply(&mut state)).await;
        match result {
            Ok((summary, warnings)) => {
                self.tell(|notifier| notifier.ready(&summary));
                tracing::info!(file = %self.file.display(), "reloaded: {summary}");
                self.refused.send_replace(None);
                Response::Reloaded { warnings }
            }
            Err(Refusal {
                problems: details, ..
            }) => {
                self.tell(|notifier| notifier.ready("the last reload was refused"));
                tracing::error!(
                    file = %self.file.display(),
                    "not reloaded, the configuration in force stays: {}",
                    details.join("; ")
                );
                self.refused.send_replace(Some(RefusedReload {
                    at_unix_ms: clock::now().realtime,
                    problems: details.clone(),
                }));
                Response::Failed {
                    message: format!("{} was not applied, nothing changed", self.file.display()),
                    details,
                }
            }
        }
    }

    /// Leaves in the manifest what is left in the kernel, for `mainstay release`.
    pub(super) async fn shrink_manifest(&self, left: Vec<Owned>) {
        let mut state = self.state.lock().await;
        if let Err(error) = state.manifest.shrink_to(left) {
            tracing::warn!(%error, "the manifest still lists addresses that are gone");
        }
    }

    async fn unless_stopping<T>(
        &self,
        load: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            result = load => result,
            _ = stopping.wait_for(|stopping| *stopping) => {
                Err(Refusal::unavailable("the daemon is stopping".to_owned()))
            }
        }
    }

    async fn apply(&self, state: &mut State) -> Result<(String, Vec<String>), Refusal> {
        let (file, reading) = (self.file.clone(), self.reading.clone());
        // On a thread of its own: a file may be slow, and status and stop wait for nobody's disk.
        let mut config = tokio::task::spawn_blocking(move || config::load(&file, &reading))
            .await
            .map_err(|error| Refusal::unavailable(error.to_string()))?
            .map_err(|problems| Refusal::wrong(lines(&problems)))?;
        let generation = state.generation + 1;
        config.settings.generation = generation;
        Arc::make_mut(&mut config.plan.load).generation = generation;
        let prepared = self.prepare(state, &config).await?;
        config.warnings.extend(unmet(&config, prepared.as_ref()));
        let unmarked = route::unmarked()
            .await
            .map_err(|error| Refusal::unavailable(error.to_string()))?;
        state
            .manifest
            .claim(addresses(&config.settings), &unmarked)
            .map_err(|error| Refusal::unavailable(error.to_string()))?;
        state.generation = generation;
        let told = summary(&config.settings);
        // The engine before the worker: a verdict of a generation that it doesn't know is dropped.
        self.mailbox
            .input(Input::Reconfigure(Arc::new(config.settings)));
        if let Some(prepared) = prepared {
            state.worker = true;
            self.supervisor.adopt(prepared, config.subscriptions).await;
        }
        self.metrics.send_if_modified(|listen| {
            let before = std::mem::replace(listen, config.metrics);
            *listen != before
        });
        self.announce(DaemonPhase::Reloaded).await;
        Ok((told, lines(&config.warnings)))
    }

    fn tell(&self, what: impl FnOnce(&Notifier) -> std::io::Result<()>) {
        if let Some(notifier) = &self.notifier
            && let Err(error) = what(notifier)
        {
            tracing::warn!(%error, "the service manager could not be told");
        }
    }

    /// As [`Self::prepare`], but a worker that dies on the way is replaced a few times: some routers
    /// may hold addresses already.
    async fn prepare_patiently(
        &self,
        state: &State,
        config: &Config,
    ) -> Result<Option<Prepared>, Refusal> {
        for pause in PAUSES {
            match self.prepare(state, config).await {
                Err(refusal) if !refusal.wrong => {
                    tracing::warn!("trying again: {}", refusal.problems.join("; "));
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        self.prepare(state, config).await
    }

    /// A worker that has loaded all plugins; `None` when there is nothing to load and none to
    /// replace.
    async fn prepare(&self, state: &State, config: &Config) -> Result<Option<Prepared>, Refusal> {
        if !state.worker && config.plan.load.plugins.is_empty() {
            return Ok(None);
        }
        match self.supervisor.prepare(config.plan.clone()).await {
            Ok(prepared) => Ok(Some(prepared)),
            Err(LoadError::Faults(faults)) => {
                let problems = faults.iter().map(|fault| config.locate(fault).to_string());
                Err(Refusal::wrong(problems.collect()))
            }
            Err(error @ LoadError::Start(_)) => Err(Refusal::unavailable(error.to_string())),
        }
    }
}

/// What its plugins ask for and are not granted.
fn unmet(config: &Config, prepared: Option<&Prepared>) -> Vec<Problem> {
    prepared.map_or_else(Vec::new, |prepared| config.unmet(prepared.plugins()))
}

/// Why a configuration was not applied.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Everything that is wrong, a line each.
    pub(super) problems: Vec<String>,
    /// Whether the configuration is at fault, so that trying again is of no use.
    wrong: bool,
}

impl Refusal {
    fn wrong(problems: Vec<String>) -> Self {
        Self {
            problems,
            wrong: true,
        }
    }

    fn unavailable(problem: String) -> Self {
        Self {
            problems: vec![problem],
            wrong: false,
        }
    }

    /// What the daemon ends with when it could not begin.
    pub(super) fn exit_code(&self) -> u8 {
        match self.wrong {
            true => exit::CONFIG,
            false => exit::UNAVAILABLE,
        }
    }
}

/// What a configuration may put into the kernel.
pub(super) fn addresses(settings: &Settings) -> Vec<Owned> {
    let routers = settings.routers.iter();
    routers
        .flat_map(|router| {
            let addresses = router.addresses.iter();
            addresses.map(|prefix| (router.interface.clone(), *prefix))
        })
        .collect()
}

fn summary(settings: &Settings) -> String {
    let Settings {
        routers, checks, ..
    } = settings;
    format!("routers: {}, checks: {}", routers.len(), checks.len())
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
