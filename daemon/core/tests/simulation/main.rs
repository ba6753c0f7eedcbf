//! The simulator: engines on a LAN that exists only here, with a clock that jumps.
//!
//! A [`lan::Lan`] has nodes and a network between them. Each [`node::Node`] is a whole host: an
//! engine, and a simulated kernel that opens sockets, keeps addresses and answers later. Faults are
//! data ([`faults::Fault`]), time is virtual, and everything that looks like chance comes from one
//! seed, so that a run can be repeated.
//!
//! - [`stories`] are single courses of events, told one by one.
//! - [`properties`] holds for every seed.
//!
//! `MAINSTAY_SEED=17 cargo test -p mainstay-core --test simulation properties` repeats one seed and
//! prints what happened; `MAINSTAY_SEEDS=100000` sets how many are tried.

mod faults;
mod journal;
mod kernel;
mod lan;
mod network;
mod node;
mod properties;
mod random;
mod rfc;
mod setup;
mod stories;
