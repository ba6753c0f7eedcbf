//! What a plugin says about itself: description, wishes, problems in its settings.

use schemars::{JsonSchema, schema_for};

use crate::bindings::lifecycle::exports::mainstay::plugin::lifecycle as wit;

#[doc(inline)]
pub use wit::{Problem, Role, Wish};

#[doc(hidden)]
pub use wit::{Description, Guest};

/// What Cargo knows about the plugin's package; [`check!`](crate::check!) and [`hook!`](crate::hook!) fill it in.
#[doc(hidden)]
pub trait Package {
    /// `CARGO_PKG_NAME`.
    const NAME: &'static str;
    /// `CARGO_PKG_VERSION`.
    const VERSION: &'static str;
    /// `CARGO_PKG_DESCRIPTION`.
    const SUMMARY: &'static str;
}

impl Problem {
    /// A problem with the value that `pointer` (JSON Pointer, RFC 6901: `"/name"`; `""` is the whole table) points to.
    #[must_use]
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl Wish {
    /// Something without which the plugin is no use. `capability` is the name of a grant, such as `process`.
    #[must_use]
    pub fn required(capability: impl Into<String>, scope: impl Into<String>) -> Self {
        Self {
            capability: capability.into(),
            scope: scope.into(),
            optional: false,
        }
    }

    /// Something that the plugin uses where it may.
    #[must_use]
    pub fn optional(capability: impl Into<String>, scope: impl Into<String>) -> Self {
        Self {
            optional: true,
            ..Self::required(capability, scope)
        }
    }
}

/// A package `mainstay-plugin-tcp` is the plugin `tcp`.
pub(crate) fn describe<P: Package, S: JsonSchema>(role: Role, wishes: Vec<Wish>) -> Description {
    Description {
        name: P::NAME
            .strip_prefix("mainstay-plugin-")
            .unwrap_or(P::NAME)
            .to_owned(),
        version: P::VERSION.to_owned(),
        summary: P::SUMMARY.to_owned(),
        roles: vec![role],
        settings_schema: Some(schema_for!(S).as_value().to_string()),
        wishes,
        extra: Vec::new(),
    }
}
