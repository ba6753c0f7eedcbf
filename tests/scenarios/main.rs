//! Scenarios: real daemons on a real kernel, each on a network of its own.
//!
//! A scenario waits for states and asserts order; it asserts times only where the protocol gives
//! bounds that are far apart, since the machine may be busy.

mod addresses;
mod cable;
mod code;
mod commands;
mod compromised;
mod control;
mod demo;
mod fetching;
mod garbage;
mod hooks;
mod install;
mod interfaces;
mod interoperation;
mod introduction;
mod javascript;
mod keeping;
mod plugins;
mod probing;
mod refusal;
mod reload;
mod restart;
mod setup;
mod stopping;
mod systemd;
mod worker;
