//! Health checks and notify hooks for Mainstay, as WebAssembly components.
//!
//! A check is a type with one function:
//!
//! ```no_run
//! use mainstay_plugin::prelude::*;
//!
//! #[settings]
//! struct Settings { name: String }
//!
//! struct Running;
//! impl Check for Running {
//!     type Settings = Settings;
//!     fn run(settings: Settings, _: &Request) -> Result<Report> {
//!         let running = process::count(&Selector::Name(settings.name))?;
//!         Ok(if running > 0 { Report::healthy("running") } else { Report::unhealthy("not running") })
//!     }
//! }
//! mainstay_plugin::check!(Running);
//! ```
//!
//! In a package with `crate-type = ["cdylib"]`, `cargo build --release --target wasm32-wasip2` makes a component of it
//! (`rustup target add wasm32-wasip2` once before). With `RUSTFLAGS="-C link-arg=-zstack-size=131072"` its stack has 128 KiB
//! in place of 1 MiB, and less has to be set back after each run.
//! The configuration says where it is, what it may do, and how often it runs:
//!
//! ```toml
//! [[plugin]]
//! name = "running"
//! file = "running.wasm"
//! permissions.process = { names = ["nginx"] }
//!
//! [[check]]
//! name = "nginx"
//! plugin = "running"
//! settings = { name = "nginx" }
//! ```
//!
//! A plugin has no files, no sockets and no clock that matters: what it may ask is in [`process`], [`probe`], [`http`],
//! [`log`], [`budget`], [`secrets`], [`state`], [`routers`], [`services`] and [`fifo`], and each call is checked against
//! its permissions. Each run is a fresh instance with a deadline.
//!
//! On targets other than WebAssembly everything compiles and the host functions panic, so that whatever a plugin decides
//! can be tested with `cargo test` as long as the test makes no such call.

extern crate self as mainstay_plugin;

#[doc(hidden)]
pub mod bindings;
pub mod budget;
pub mod check;
mod error;
mod export;
pub mod fifo;
pub mod hook;
pub mod http;
pub mod lifecycle;
pub mod log;
pub mod prelude;
pub mod probe;
pub mod process;
mod report;
pub mod routers;
pub mod secrets;
pub mod services;
mod settings;
mod span;
pub mod state;
pub mod units;

pub use bindings::host::mainstay::plugin::common::{
    Attribute, Endpoint, Family, Metric, MetricKind, PluginError, Protocol, RouterState,
};
pub use check::{Check, Report, Request};
pub use hook::{Event, Hook};
pub use lifecycle::{Problem, Wish};
pub use mainstay_plugin_macros::settings;
pub use settings::NoSettings;
pub use span::Span;
#[doc(hidden)]
pub use {schemars, serde};

/// What a plugin answers, or why it could not.
pub type Result<T, E = PluginError> = std::result::Result<T, E>;
