//! Mainstay: the daemon and its command line.

pub(crate) mod config;
