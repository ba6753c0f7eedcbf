//! Hooks: the trait and the events.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::hook::exports::mainstay::plugin::hook as wit;
use crate::lifecycle::{self, Description, Package, Role, describe};
use crate::{Problem, Result, RouterState, Wish, settings};

#[doc(inline)]
pub use wit::{
    CheckChange, DaemonPhase, Event, OtherEvent, Payload, QuorumChange, RouterTransition,
    ServerChange,
};

/// In the words of RFC 9568, as in `mainstay status`.
impl fmt::Display for RouterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
            Self::Fault => "fault",
            Self::Stopped => "stopped",
        })
    }
}

/// A hook: is told what has happened, and can neither veto nor delay it.
///
/// Events of one source arrive in order and at least once; [`Event::sequence`] tells a repeat.
///
/// ```no_run
/// use mainstay_plugin::prelude::*;
///
/// struct Shout;
/// impl Hook for Shout {
///     type Settings = NoSettings;
///     fn on_event(_: NoSettings, event: &Event) -> Result<()> {
///         if let Payload::Router(transition) = &event.payload {
///             log::warn(format!("{} is {}: {}", transition.router, transition.to, transition.cause));
///         }
///         Ok(())
///     }
/// }
/// mainstay_plugin::hook!(Shout);
/// ```
pub trait Hook {
    /// The type of the `settings` table; [`NoSettings`](crate::NoSettings) when there is none.
    type Settings: DeserializeOwned + JsonSchema;

    /// Takes one event. `settings` have passed [`validate`](Self::validate).
    ///
    /// # Errors
    ///
    /// When the event could not be dealt with: it is delivered again, with back-off, until its deadline.
    fn on_event(settings: Self::Settings, event: &Event) -> Result<()>;

    /// What is wrong with the settings beyond what their type says; nothing by default.
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

/// Exports a hook; [`hook!`](crate::hook!) names it.
#[doc(hidden)]
pub struct Export<T>(PhantomData<T>);

impl<T: Hook> wit::Guest for Export<T> {
    fn on_event(event: Event) -> Result<()> {
        let settings = settings::parse(&event.settings, T::validate)
            .map_err(|problems| settings::refusal(&problems))?;
        T::on_event(settings, &event)
    }
}

impl<T: Hook + Package> lifecycle::Guest for Export<T> {
    fn describe() -> Description {
        describe::<T, T::Settings>(Role::Hook, T::wishes())
    }

    fn validate(settings: String) -> Result<(), Vec<Problem>> {
        settings::parse(&settings, T::validate).map(drop)
    }
}
