//! Keeps a worker at work: one that serves the configuration in force, and another whenever that
//! one dies, hangs, or has to make room for the next configuration.

mod actor;
mod claims;
mod idle;
mod serving;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::input::Verdict;
use mainstay_core::time::Realtime;
use mainstay_protocol::{DaemonPhase, Event, PluginInfo};
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::WorkerStatus;
use super::source::{Source, Worker};
use super::start::LoadError;
use crate::code::{Codes, Plan};
use crate::hooks::Subscription;
use crate::metrics::Totals;
use actor::Actor;

/// Where verdicts go, those that came together at once. Called on the runtime's thread; must not
/// block.
pub(crate) type Outlet = Box<dyn Fn(Vec<Verdict>) + Send>;

/// The handle of the task that keeps a worker at work. Dropping it ends task and worker.
#[derive(Debug)]
pub(crate) struct Supervisor {
    source: Source,
    orders: mpsc::Sender<Order>,
    status: watch::Receiver<WorkerStatus>,
    totals: Arc<Totals>,
    task: JoinHandle<()>,
}

/// A worker that has loaded a configuration and waits to serve it. Dropping it ends the worker, and
/// nothing else changes.
#[derive(Debug)]
pub(crate) struct Prepared {
    worker: Worker,
    plan: Plan,
}

impl Prepared {
    /// What the worker has found out about the plugins.
    pub(crate) fn plugins(&self) -> &[PluginInfo] {
        &self.worker.plugins
    }
}

#[derive(Debug)]
enum Order {
    Adopt(Box<Prepared>, Vec<Subscription>),
    Announce(DaemonPhase, Realtime),
    Drain(oneshot::Sender<()>),
}

impl Supervisor {
    /// Starts the task on the present runtime. There is no worker before the first
    /// [`Self::adopt`], but what happens until then waits for the hooks of these subscriptions.
    /// What happens comes in over `events` and goes to the hooks, verdicts go out through `outlet`.
    pub(crate) fn spawn(
        source: Source,
        subscriptions: Vec<Subscription>,
        events: Receiver<Event>,
        outlet: Outlet,
    ) -> Self {
        let (orders, incoming) = mpsc::channel(1);
        let (tell, status) = watch::channel(WorkerStatus::default());
        let totals = Arc::new(Totals::default());
        let actor = Actor::new(
            source.clone(),
            subscriptions,
            outlet,
            incoming,
            events,
            tell,
            Arc::clone(&totals),
        );
        Self {
            source,
            orders,
            status,
            totals,
            task: tokio::spawn(actor.run()),
        }
    }

    /// First half of a reload: a second worker that loads everything, while the one at work goes on.
    ///
    /// # Errors
    /// [`LoadError::Faults`] with everything that is wrong, [`LoadError::Start`] without a worker;
    /// the one at work goes on in both cases.
    pub(crate) async fn prepare(&self, plan: Plan) -> Result<Prepared, LoadError> {
        let (nothing_rests, nothing_known) = (BTreeSet::new(), Codes::default());
        let started = self.source.start(&plan, &nothing_rests, &nothing_known);
        let worker = started.await.map_err(|failed| failed.error)?;
        Ok(Prepared { worker, plan })
    }

    /// Second half of a reload: the prepared worker takes over, its first runs begin at once.
    /// Events that wait for a hook go on waiting for the hook of that name.
    pub(crate) async fn adopt(&self, prepared: Prepared, subscriptions: Vec<Subscription>) {
        let order = Order::Adopt(Box::new(prepared), subscriptions);
        // Fails only when the task has ended, and then there is nothing to serve.
        let _ = self.orders.send(order).await;
    }

    /// Tells the hooks of something of the daemon itself.
    pub(crate) async fn announce(&self, phase: DaemonPhase, at: Realtime) {
        let _ = self.orders.send(Order::Announce(phase, at)).await;
    }

    /// What people see of the worker.
    pub(crate) fn status(&self) -> WorkerStatus {
        self.status.borrow().clone()
    }

    /// What is counted of the plugins.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Ends the worker, after the hooks have had every event, or when `limit` is over.
    pub(crate) async fn stop(&self, limit: Duration) {
        let drain = async {
            let (drained, done) = oneshot::channel();
            if self.orders.send(Order::Drain(drained)).await.is_ok() {
                let _ = done.await;
            }
        };
        if tokio::time::timeout(limit, drain).await.is_err() {
            tracing::warn!("hooks have not had every event before the end");
        }
        self.task.abort();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
