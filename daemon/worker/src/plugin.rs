//! A plugin that was loaded and can be run.

use std::sync::Arc;

use mainstay_protocol::Limits;
use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{AsContextMut, Store};

use crate::bindings::common::PluginError;
use crate::bindings::{check, hook, lifecycle};
use crate::contract::Interfaces;
use crate::grants::Grants;
use crate::host::{LogBudget, State};
use crate::pool::{Place, Pool};

/// A compiled component with its imports linked, and what it may do.
pub(crate) struct Plugin {
    /// Name in the configuration.
    pub(crate) name: String,
    /// Its place in the load.
    pub(crate) number: usize,
    /// What its runs may do.
    pub(crate) grants: Arc<Grants>,
    /// What its runs may use.
    pub(crate) limits: Limits,
    /// What its runs may log.
    pub(crate) log: Arc<LogBudget>,
    /// Makes instances in memory of their own.
    pub(crate) linked: Linked,
    /// Makes them where memory is ready, as long as there is a place.
    pub(crate) pool: Option<Pool>,
}

/// A component linked for one engine.
pub(crate) struct Linked {
    /// Makes instances.
    pub(crate) instances: InstancePre<State>,
    /// What it exports.
    pub(crate) exports: Exports,
}

/// The interfaces of the contract that a component exports.
#[derive(Clone)]
pub(crate) struct Exports {
    /// `check`.
    pub(crate) check: Option<check::GuestIndices>,
    /// `hook`.
    pub(crate) hook: Option<hook::GuestIndices>,
    /// `lifecycle`.
    pub(crate) lifecycle: Option<lifecycle::GuestIndices>,
}

/// One call of a plugin.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Look up every export and, if there is a `lifecycle`, ask it for the description.
    Inspect,
    /// Ask `lifecycle` whether these settings, in JSON, are right.
    Validate(String),
    /// Run the check.
    Check(check::Request),
    /// Deliver an event.
    Deliver(hook::Event),
}

/// What a plugin answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// To [`Job::Inspect`]; `None` without `lifecycle`.
    Inspected(Option<lifecycle::Description>),
    /// To [`Job::Validate`]: everything that is wrong.
    Problems(Vec<lifecycle::Problem>),
    /// To [`Job::Check`].
    Report(check::Report),
    /// To [`Job::Deliver`].
    Delivered,
    /// It could not do its job.
    Failed(PluginError),
}

impl Plugin {
    /// What makes the next instance, and its place if it is to be in the pool: to be kept until the instance is gone.
    pub(crate) fn next(&self) -> (&Linked, Option<Place<'_>>) {
        match self.pool.as_ref().and_then(Pool::place) {
            Some((linked, place)) => (linked, Some(place)),
            None => (&self.linked, None),
        }
    }
}

impl Linked {
    /// Links a component and looks up the exports that it has by its interfaces.
    ///
    /// # Errors
    /// When an import or an export is not of the type that the contract gives it.
    pub(crate) fn new(
        linker: &Linker<State>,
        component: &Component,
        interfaces: &Interfaces,
    ) -> wasmtime::Result<Self> {
        let instances = linker.instantiate_pre(component)?;
        let has = |role: &str| interfaces.roles.iter().any(|r| r == role);
        let exports = Exports {
            check: has("check")
                .then(|| check::GuestIndices::new(&instances))
                .transpose()?,
            hook: has("hook")
                .then(|| hook::GuestIndices::new(&instances))
                .transpose()?,
            lifecycle: interfaces
                .lifecycle
                .then(|| lifecycle::GuestIndices::new(&instances))
                .transpose()?,
        };
        Ok(Self { instances, exports })
    }

    /// Calls the export that a job is for, in an instance of this component.
    ///
    /// # Errors
    /// Whatever ended the call: a trap, a limit, the deadline; also an export that is missing or
    /// of another type.
    pub(crate) async fn perform(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        job: Job,
    ) -> wasmtime::Result<Answer> {
        let exports = &self.exports;
        match job {
            Job::Inspect => {
                if let Some(check) = &exports.check {
                    check.load(&mut *store, instance)?;
                }
                if let Some(hook) = &exports.hook {
                    hook.load(&mut *store, instance)?;
                }
                let Some(lifecycle) = &exports.lifecycle else {
                    return Ok(Answer::Inspected(None));
                };
                let lifecycle = lifecycle.load(&mut *store, instance)?;
                let described = lifecycle.call_describe(store.as_context_mut()).await?;
                Ok(Answer::Inspected(Some(described)))
            }
            Job::Validate(settings) => {
                let Some(lifecycle) = &exports.lifecycle else {
                    return Ok(Answer::Problems(Vec::new()));
                };
                let lifecycle = lifecycle.load(&mut *store, instance)?;
                let result = lifecycle.call_validate(store.as_context_mut(), &settings);
                Ok(Answer::Problems(result.await?.err().unwrap_or_default()))
            }
            Job::Check(request) => {
                let check = exports.check.as_ref().ok_or_else(|| missing("check"))?;
                let check = check.load(&mut *store, instance)?;
                let result = check.call_run(store.as_context_mut(), &request).await?;
                Ok(result.map_or_else(Answer::Failed, Answer::Report))
            }
            Job::Deliver(event) => {
                let hook = exports.hook.as_ref().ok_or_else(|| missing("hook"))?;
                let hook = hook.load(&mut *store, instance)?;
                let result = hook.call_on_event(store.as_context_mut(), &event).await?;
                Ok(result.map_or_else(Answer::Failed, |()| Answer::Delivered))
            }
        }
    }
}

fn missing(export: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("the plugin does not export {export}"))
}
