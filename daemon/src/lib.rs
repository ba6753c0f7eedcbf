//! Mainstay: the daemon and its command line.

pub(crate) mod cli;
pub(crate) mod code;
pub(crate) mod commands;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod exit;
pub(crate) mod hooks;
pub(crate) mod keeping;
pub(crate) mod logging;
pub(crate) mod manifest;
pub(crate) mod metrics;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod systemd;
pub(crate) mod worker;

/// The command line of this process.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
