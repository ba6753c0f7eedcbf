//! The engine of Mainstay: what a node decides, and nothing of how it is done.
//!
//! ```text
//! sockets, kernel, checks, commands, clock ──► Input ──► Engine ──► Actions ──► effects
//!                                                ▲                                 │
//!                                                └──────────── Completed ◄─────────┘
//! ```
//!
//! [`Engine::handle`] takes one [`Input`](input::Input) with the time at which it is handled and
//! answers with the actions that follow, in order. [`Engine::next_deadline`] tells when the engine
//! wants a [`Tick`](input::Input::Tick) at the latest. There is no other way in or out, no clock, no
//! thread, no file and no randomness, so that a simulation of a hundred nodes is a loop.
//!
//! Where to look: [`wire`] reads and writes packets, `vrrp` holds the state machine
//! of RFC 9568, `health` turns verdicts into decisions, [`settings`] is the configuration.

pub mod action;
pub mod address;
mod announce;
mod deadlines;
mod engine;
pub mod event;
mod health;
pub mod input;
mod interfaces;
mod outbox;
pub mod record;
pub mod settings;
pub mod status;
pub mod time;
mod vrrp;
pub mod wire;

pub use engine::Engine;
