//! The plugin worker: runs checks and hooks, WebAssembly components, in a process of its own that
//! holds no privilege.
//!
//! ```text
//! session   the life of a worker          load      code to plugins, all faults
//! compile   the other life: one component code      code that came by descriptor
//! frames    the control stream            run       one call within limits
//! check     the schedule of the checks    hook      the order of the events
//! host      what plugins may import       broker    what only the daemon can do
//! in_flight what runs, should this die    pool      where small instances are made
//! ```
//!
//! What the process gives up before that is in `mainstay-sandbox`.
//! The daemon speaks to it in the frames of `mainstay-protocol` and never waits for it.

pub mod control;
pub mod session;

mod bindings;
mod broker;
mod check;
mod code;
mod compile;
mod context;
mod contract;
mod engine;
mod examine;
mod fault;
mod frames;
mod grant_line;
mod grants;
mod hook;
mod host;
mod in_flight;
mod limits;
mod load;
mod meter;
mod plugin;
mod pool;
mod report;
mod run;
mod schema;
mod secrets;
mod tally;
mod text;
mod turn;
mod wishes;

pub use code::CodeError;
