//! Checks: the trait, what a run is asked and what it answers.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::check::exports::mainstay::plugin::check as wit;
use crate::lifecycle::{self, Description, Package, Role, describe};
use crate::{Problem, Result, Wish, settings};

#[doc(inline)]
pub use wit::{Report, Request, Server, Status, Target, WeightChange};

/// A check: looks at something once and says whether it is healthy.
///
/// An instance serves one run, so there is no `self`: what a later run should know goes into [`Report::carry`], and is
/// found in [`Request::carry`]:
///
/// ```
/// use mainstay_plugin::prelude::*;
///
/// /// Unhealthy when nothing was accepted since the last run.
/// struct Progress;
/// impl Check for Progress {
///     type Settings = NoSettings;
///     fn run(_: NoSettings, request: &Request) -> Result<Report> {
///         let before = request.carry.clone().unwrap_or_default();
///         let now = accepted().to_be_bytes().to_vec();
///         let report = if now == before { Report::unhealthy("stuck") } else { Report::healthy("moving") };
///         Ok(report.with_carry(now))
///     }
/// }
/// # fn accepted() -> u64 { 7 }
/// mainstay_plugin::check!(Progress);
/// ```
pub trait Check {
    /// The type of the `settings` table; [`NoSettings`](crate::NoSettings) when there is none.
    type Settings: DeserializeOwned + JsonSchema;

    /// Runs the check once. `settings` have passed [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// When the check can't tell. That is never taken for unhealthy: the configured `on-error` says what it means.
    fn run(settings: Self::Settings, request: &Request) -> Result<Report>;

    /// What is wrong with the settings beyond what their type says; nothing by default.
    ///
    /// Called when the settings fit the schema, so that a problem that needs a sentence is better found here than by a
    /// pattern in the schema.
    ///
    /// Pure: no capability is there. An invalid configuration is refused with these problems.
    fn validate(settings: &Self::Settings) -> Vec<Problem> {
        let _ = settings;
        Vec::new()
    }

    /// What the plugin would like to be granted, for `mainstay plugin inspect`; nothing by default.
    fn wishes() -> Vec<Wish> {
        Vec::new()
    }
}

/// Exports a check; [`check!`](crate::check!) names it.
#[doc(hidden)]
pub struct Export<T>(PhantomData<T>);

impl<T: Check> wit::Guest for Export<T> {
    fn run(request: Request) -> Result<Report> {
        let settings = settings::parse(&request.settings, T::validate)
            .map_err(|problems| settings::refusal(&problems))?;
        T::run(settings, &request)
    }
}

impl<T: Check + Package> lifecycle::Guest for Export<T> {
    fn describe() -> Description {
        describe::<T, T::Settings>(Role::Check, T::wishes())
    }

    fn validate(settings: String) -> Result<(), Vec<Problem>> {
        settings::parse(&settings, T::validate).map(drop)
    }
}
