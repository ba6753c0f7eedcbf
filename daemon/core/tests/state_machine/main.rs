//! The state machine of RFC 9568 section 6.4 as tables: state by state, what each input does.
//!
//! Every test names the rule that it pins. [`bench`] has one engine with one router, whose kernel
//! answers at once; the peer is played by the test.

mod active;
mod backup;
mod bench;
mod explanations;
mod fault;
mod initialize;
mod kernel;
mod releasing;
mod reloading;
mod resuming;
mod status;
mod tracking;
