//! The task behind [`Supervisor`](super::Supervisor).

use std::collections::BTreeMap;
use std::future::pending;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_core::input::{Outcome, Verdict};
use mainstay_protocol::{Event, FromWorker, Load, PluginInfo};
use tokio::sync::mpsc::Receiver;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use super::idle::IdleChecks;
use super::serving::{News, Serving};
use super::{Order, Outlet, Prepared};
use crate::code::{Codes, Plan};
use crate::hooks::{Fate, Hooks, Subscription};
use crate::metrics::Totals;
use crate::worker::backoff::Backoff;
use crate::worker::connection::ConnectionError;
use crate::worker::source::{Source, Worker};
use crate::worker::start::{FailedStart, LoadError};
use crate::worker::suspects::{QUARANTINE, Suspects};
use crate::worker::{ServedPlugin, WorkerState, WorkerStatus};

/// Everything that the task knows.
pub(super) struct Actor {
    source: Source,
    outlet: Outlet,
    orders: Receiver<Order>,
    events: Receiver<Event>,
    status: watch::Sender<WorkerStatus>,
    /// What is counted of its plugins.
    totals: Arc<Totals>,
    /// The configuration in force, with nothing left out.
    plan: Option<Arc<Plan>>,
    /// The code of its plugins as it was when the configuration came into force.
    codes: Codes,
    /// What people see of its plugins.
    plugins: BTreeMap<String, ServedPlugin>,
    hooks: Hooks,
    serving: Option<Serving>,
    starting: Option<Starting>,
    start_at: Option<Instant>,
    backoff: Backoff,
    suspects: Suspects,
    idle: IdleChecks,
    restarts: u64,
    last_end: Option<String>,
    /// Whether what people see may be another than they were told.
    changed: bool,
    drained: Option<oneshot::Sender<()>>,
}

/// A worker on its way, and what it loads. It ends with this.
struct Starting {
    task: JoinHandle<Result<Worker, FailedStart>>,
    load: Arc<Load>,
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Actor {
    /// A task that has nothing to do yet.
    pub(super) fn new(
        source: Source,
        subscriptions: Vec<Subscription>,
        outlet: Outlet,
        orders: Receiver<Order>,
        events: Receiver<Event>,
        status: watch::Sender<WorkerStatus>,
        totals: Arc<Totals>,
    ) -> Self {
        let mut hooks = Hooks::default();
        hooks.subscribe(subscriptions);
        Self {
            source,
            outlet,
            orders,
            events,
            status,
            totals,
            plan: None,
            codes: Codes::default(),
            plugins: BTreeMap::new(),
            hooks,
            serving: None,
            starting: None,
            start_at: None,
            backoff: Backoff::default(),
            suspects: Suspects::default(),
            idle: IdleChecks::default(),
            restarts: 0,
            last_end: None,
            changed: true,
            drained: None,
        }
    }

    /// Runs until the handle is gone, or until everything is drained.
    pub(super) async fn run(mut self) {
        loop {
            self.deliver().await;
            if mem::take(&mut self.changed) {
                self.tell_status();
            }
            if self.hooks.is_empty()
                && self.events.is_empty()
                && let Some(drained) = self.drained.take()
            {
                let _ = drained.send(());
                return;
            }
            let wake = self.next_wake();
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Adopt(prepared, subscriptions)) => {
                        self.changed = true;
                        self.adopt(*prepared, subscriptions).await;
                    }
                    Some(Order::Announce(phase, at)) => {
                        self.hooks.announce(phase, at, Instant::now());
                    }
                    Some(Order::Drain(drained)) => self.drained = Some(drained),
                    None => return,
                },
                Some(event) = self.events.recv() => self.hooks.accept(&event, Instant::now()),
                started = started(&mut self.starting) => {
                    self.changed = true;
                    self.started(started).await;
                }
                message = next(&mut self.serving) => match message {
                    Ok(messages) => self.hear(messages),
                    Err(error) => self.lost(false, &error).await,
                },
                () = sleep_until(wake) => {
                    self.changed = true;
                    self.awake().await;
                }
            }
        }
    }

    /// A new configuration is in force. What was held against its plugins is forgotten: they have
    /// just been loaded.
    async fn adopt(&mut self, prepared: Prepared, subscriptions: Vec<Subscription>) {
        let plan = Arc::new(prepared.plan);
        let load = Arc::clone(&plan.load);
        self.suspects = Suspects::default();
        self.idle = IdleChecks::default();
        self.backoff = Backoff::default();
        self.hooks.subscribe(subscriptions);
        self.codes = prepared.worker.codes.clone();
        self.totals.serve(&plan.load, &self.codes);
        self.source.means().keeping.retain(&plan.load);
        self.plugins = served(&plan, &prepared.worker.plugins);
        self.plan = Some(plan);
        self.begin(prepared.worker, load).await;
    }

    /// A worker takes over, from another one or from none.
    async fn begin(&mut self, worker: Worker, load: Arc<Load>) {
        self.starting = None;
        self.start_at = None;
        if let Some(before) = self.serving.take() {
            before.end(false).await;
        }
        let now = Instant::now();
        // What another worker had is sent again; that one did not die of it.
        self.hooks.worker_gone(false, now);
        let (pid, build) = (worker.hello.pid, worker.hello.build.clone());
        match Serving::begin(worker, Arc::clone(&load), now) {
            Ok(serving) => {
                let (generation, checks) = (load.generation, load.checks.len());
                info!(pid, build, generation, checks, "the plugin worker runs");
                self.serving = Some(serving);
            }
            Err(error) => self.ended(Duration::ZERO, error.to_string()),
        }
        self.list_idle_checks(now);
    }

    /// A worker that was on its way is there, or is not.
    async fn started(&mut self, result: Result<Worker, FailedStart>) {
        let Some(starting) = self.starting.take() else {
            return;
        };
        let failed = match result {
            Ok(worker) => {
                let load = Arc::clone(&starting.load);
                return self.begin(worker, load).await;
            }
            Err(failed) => failed,
        };
        let now = Instant::now();
        let error = failed.error.to_string();
        match (&failed.error, failed.death) {
            (LoadError::Faults(faults), _) => {
                // All was well when the configuration was adopted. The other plugins are not to
                // suffer for it.
                for fault in faults {
                    let plugin = &fault.plugin;
                    error!(plugin, "a plugin is quarantined: {}", fault.message);
                    self.suspects.quarantine(plugin.clone(), now);
                }
            }
            (LoadError::Start(_), Some(death)) => {
                warn!(suspects = ?failed.loading, error, "the plugin worker did not come to serve");
                report_quarantine(&self.suspects.died(death, &failed.loading, now));
            }
            (LoadError::Start(_), None) => error!(error, "there is no plugin worker"),
        }
        self.list_idle_checks(now);
        // A worker that is still at work serves all that doesn't rest, and goes on.
        if self.serving.is_none() {
            self.ended(Duration::ZERO, error);
        }
    }

    /// The worker at work is gone, or of no use any more.
    async fn lost(&mut self, hung: bool, error: &ConnectionError) {
        let Some(serving) = self.serving.take() else {
            return;
        };
        self.changed = true;
        let served = serving.since().elapsed();
        let in_flight = serving.suspects();
        let (death, end) = serving.end(hung).await;
        let now = Instant::now();
        warn!(suspects = ?in_flight, end, "the plugin worker is gone: {error}");
        report_quarantine(&self.suspects.died(death, &in_flight, now));
        for hook in self.hooks.worker_gone(true, now) {
            error!(hook, "a hook doesn't get an event: workers died of it");
        }
        self.list_idle_checks(now);
        self.ended(served, end);
    }

    /// Plans the next worker.
    fn ended(&mut self, served: Duration, end: String) {
        self.last_end = Some(end);
        self.restarts += 1;
        // One that is on its way for another reason will do.
        if self.starting.is_none() {
            self.start_at = Some(Instant::now() + self.backoff.pause_after(served));
        }
    }

    fn list_idle_checks(&mut self, now: Instant) {
        if let Some(plan) = &self.plan {
            let serving = self.serving.is_some();
            self.idle.list(&plan.load, &self.suspects, serving, now);
        }
    }

    /// Starts a worker on what doesn't rest.
    fn start(&mut self) {
        self.start_at = None;
        let Some(plan) = &self.plan else { return };
        let resting = self.suspects.resting();
        let load = plan.load_without(&resting);
        let (source, plan, codes) = (self.source.clone(), Arc::clone(plan), self.codes.clone());
        let task = tokio::spawn(async move { source.start(&plan, &resting, &codes).await });
        self.starting = Some(Starting { task, load });
    }

    /// Verdicts that came together go to the engine together.
    fn hear(&mut self, messages: Vec<FromWorker>) {
        let now = Instant::now();
        let verdicts: Vec<Verdict> = messages
            .into_iter()
            .filter_map(|message| self.hear_one(message, now))
            .collect();
        if !verdicts.is_empty() {
            (self.outlet)(verdicts);
        }
    }

    fn hear_one(&mut self, message: FromWorker, now: Instant) -> Option<Verdict> {
        let serving = self.serving.as_mut()?;
        self.totals.hear(&message);
        match serving.hear(message, now)? {
            News::Verdict(verdict) => {
                if let Outcome::Fault { message } = &verdict.outcome
                    && let Some(plugin) = serving.plugin_of(&verdict.check)
                    && let Some(plugin) = self.plugins.get_mut(plugin)
                {
                    plugin.last_error = Some(format!("check {}: {message}", verdict.check));
                    self.changed = true;
                }
                Some(verdict)
            }
            News::Hook {
                hook,
                source,
                sequence,
                error,
            } => {
                if let Some(message) = &error
                    && let Some(plugin) = serving.hooks(&hook)
                    && let Some(plugin) = self.plugins.get_mut(plugin)
                {
                    plugin.last_error = Some(format!("hook {hook}: {message}"));
                    self.changed = true;
                }
                let fate = self
                    .hooks
                    .answered(&hook, &source, sequence, error.is_none(), now);
                let error = error.unwrap_or_default();
                match fate {
                    Fate::Delivered | Fate::Unknown => {}
                    Fate::Again => debug!(hook, source, error, "a hook failed, and is tried again"),
                    Fate::GivenUp => {
                        error!(hook, source, sequence, error, "a hook failed for good")
                    }
                }
                None
            }
        }
    }

    /// Sends what the hooks are to have now.
    async fn deliver(&mut self) {
        let Some(serving) = &mut self.serving else {
            return;
        };
        let due = self
            .hooks
            .due(Instant::now(), |hook| serving.serves_hook(hook));
        let sent = due
            .into_iter()
            .try_for_each(|(hook, event)| serving.deliver(hook, event));
        if let Err(error) = sent {
            let hung = matches!(error, ConnectionError::Behind);
            self.lost(hung, &error).await;
        }
    }

    /// When there is something to do though nothing happens.
    fn next_wake(&self) -> Option<Instant> {
        let now = Instant::now();
        let serving = self.serving.as_ref();
        let hooks = serving.and_then(|serving| {
            let serves = |hook: &str| serving.serves_hook(hook);
            self.hooks.next_wake(now, serves)
        });
        let owed = serving.and_then(|serving| serving.owed_until(self.hooks.under_way()));
        let idle = self.idle.next_wake();
        let released = self.suspects.next_wake();
        let wakes = [self.start_at, hooks, owed, idle, released];
        wakes.into_iter().flatten().min()
    }

    async fn awake(&mut self) {
        let now = Instant::now();
        if let Some(plan) = &self.plan {
            let faults = self.idle.due(&plan.load, &self.suspects, now);
            if !faults.is_empty() {
                (self.outlet)(faults);
            }
        }
        if self.suspects.release(now) {
            info!("plugins that rested are tried again");
            self.list_idle_checks(now);
            // The worker at work goes on until the next one has loaded everything.
            if self.starting.is_none() {
                self.start_at = self.start_at.or(Some(now));
            }
        }
        if self.start_at.is_some_and(|at| at <= now) {
            self.start();
        }
        let event = self.hooks.under_way();
        let hung = |serving: &mut Serving| serving.is_hung(event, now);
        if self.serving.as_mut().is_some_and(hung) {
            self.lost(true, &ConnectionError::Overdue).await;
        }
    }

    fn tell_status(&self) {
        let status = WorkerStatus {
            state: match (&self.serving, &self.starting, &self.start_at) {
                (Some(_), _, _) => WorkerState::Running,
                (None, Some(_), _) => WorkerState::Starting,
                (None, None, Some(_)) => WorkerState::Waiting,
                (None, None, None) => WorkerState::Idle,
            },
            pid: self.serving.as_ref().map(Serving::pid),
            restarts: self.restarts,
            last_end: self.last_end.clone(),
            quarantined: self.suspects.resting(),
            plugins: self.plugins.clone(),
        };
        self.status.send_if_modified(|told| {
            let changed = *told != status;
            *told = status;
            changed
        });
    }
}

/// The plugins of a plan, with what a worker has found out about them.
fn served(plan: &Plan, infos: &[PluginInfo]) -> BTreeMap<String, ServedPlugin> {
    let plugins = plan.load.plugins.iter().map(|spec| {
        let file = plan.components.get(&spec.code);
        let info = infos.iter().find(|info| info.name == spec.name);
        let described = info.and_then(|info| info.described.as_ref());
        let served = ServedPlugin {
            file: file.map(|file| file.path.clone()).unwrap_or_default(),
            sha256: spec.code.clone(),
            version: described.map(|(_, version, _)| version.clone()),
            api: info.and_then(|info| info.api.clone()),
            roles: info.map(|info| info.roles.clone()).unwrap_or_default(),
            lacks: info.map_or_else(Vec::new, |info| {
                let lacks = info.wishes.iter().filter(|wish| !wish.granted);
                lacks.cloned().collect()
            }),
            last_error: None,
        };
        (spec.name.clone(), served)
    });
    plugins.collect()
}

fn report_quarantine(guilty: &[String]) {
    let seconds = QUARANTINE.as_secs();
    for plugin in guilty {
        error!(
            plugin,
            seconds, "a plugin is quarantined: workers died of it"
        );
    }
}

async fn started(starting: &mut Option<Starting>) -> Result<Worker, FailedStart> {
    match starting {
        Some(starting) => match (&mut starting.task).await {
            Ok(result) => result,
            Err(error) => Err(FailedStart::without_task(&error)),
        },
        None => pending().await,
    }
}

async fn next(serving: &mut Option<Serving>) -> Result<Vec<FromWorker>, ConnectionError> {
    match serving {
        Some(serving) => serving.next().await,
        None => pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => pending().await,
    }
}
