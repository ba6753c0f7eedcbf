//! What tests of the worker need: small components, and the other end of its socket.
//!
//! The executable under test is `target/release/mainstay-worker`, or that below `MAINSTAY_BUILD`.
//! `make build` builds it; no test builds it by itself, since wasmtime takes minutes.

pub mod contract;
pub mod guest;
pub mod harness;
pub mod mutation;
pub mod prober;
pub mod tls;
