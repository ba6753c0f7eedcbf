//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::code::Cache;
use crate::commands::{self, Failure};
use crate::run::RunOptions;
use crate::worker::{self, Source};
use crate::{config, exit};

/// Where the worker's unit listens, where that is installed.
const WORKER_SOCKET: &str = "/run/mainstay-worker.sock";

#[derive(Debug, Parser)]
#[command(
    name = "mainstay",
    version,
    about = "High availability for addresses and services"
)]
struct Cli {
    #[command(flatten)]
    paths: Paths,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct Paths {
    /// The configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/mainstay/mainstay.toml"
    )]
    config: PathBuf,
    /// Control socket, and what a restart needs
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/run/mainstay"
    )]
    runtime_dir: PathBuf,
    /// What is ours in the kernel
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/lib/mainstay"
    )]
    state_dir: PathBuf,
    /// Compiled plugins
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/cache/mainstay"
    )]
    cache_dir: PathBuf,
    /// The plugin worker's executable, started as a child
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "worker_socket"
    )]
    worker: Option<PathBuf>,
    /// The socket of a plugin worker that is a unit of its own
    #[arg(long, global = true, value_name = "PATH")]
    worker_socket: Option<PathBuf>,
    /// Where plugins are looked up before the installed ones
    #[arg(long, global = true, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    Run {
        /// What is logged, such as debug or mainstay=debug
        #[arg(long, value_name = "FILTER")]
        log: Option<String>,
    },
    /// Check a configuration and its plugins, without any effect
    Validate {
        /// The configuration, instead of --config
        file: Option<PathBuf>,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
    },
    /// Show what is active where, why and since when
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the transitions that led to the present states, with their causes
    Explain {
        /// The router; all without it
        router: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what is counted, in the format of OpenMetrics
    Metrics,
    /// Make the daemon read its configuration again, and wait for the outcome
    Reload,
    /// Remove from the kernel what a daemon that is gone left there
    Release,
    /// Look at plugins, try one, compile them
    #[command(subcommand)]
    Plugin(Plugin),
}

#[derive(Debug, Subcommand)]
enum Plugin {
    /// Show what a plugin is, imports and would like to be granted
    Inspect {
        /// The component: its path, or its name in a plugin directory
        #[arg(value_name = "COMPONENT")]
        file: PathBuf,
        /// What it would be granted, such as process=nginx: its wishes are weighed against that
        #[arg(long = "grant", value_name = "GRANT")]
        grants: Vec<commands::plugin::Grant>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the plugins that the daemon serves
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compile the plugins of a configuration, so that no start has to
    Compile {
        /// The configuration, instead of --config
        file: Option<PathBuf>,
    },
    /// Run a check once, in the daemon's sandbox; exits with 0, 1, 2 or 3 for healthy, unhealthy,
    /// degraded or error
    Run(commands::plugin::RunArguments),
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to standard output.
            let code = if error.use_stderr() { exit::USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    dispatch(cli).unwrap_or_else(|failure| failure.report())
}

fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { paths, command } = cli;
    match command {
        Command::Run { log } => {
            let worker = paths.worker_of_daemon()?;
            let options = RunOptions {
                config: paths.config,
                runtime_dir: paths.runtime_dir,
                state_dir: paths.state_dir,
                cache_dir: paths.cache_dir,
                reading: config::Options::of_process(paths.plugin_dir),
                worker,
            };
            Ok(commands::run::run(&options, log.as_deref()))
        }
        Command::Validate { file, strict } => {
            let reading = config::Options {
                strict,
                readers: config::Readers::of_units(),
                ..config::Options::of_process(paths.plugin_dir.clone())
            };
            let file = file.as_ref().unwrap_or(&paths.config);
            commands::validate::validate(file, &reading, || paths.worker_with_cache())
        }
        Command::Status { json } => commands::status::status(&paths.runtime_dir, json),
        Command::Explain { router, json } => {
            commands::explain::explain(&paths.runtime_dir, router, json)
        }
        Command::Metrics => commands::metrics::metrics(&paths.runtime_dir),
        Command::Reload => commands::reload::reload(&paths.runtime_dir),
        Command::Release => commands::release::release(&paths.runtime_dir, &paths.state_dir),
        Command::Plugin(Plugin::Inspect { file, grants, json }) => {
            let file = commands::plugin::component(&file, paths.plugin_dir.clone())?;
            commands::plugin::inspect(&paths.worker_with_cache()?, &file, &grants, json)
        }
        Command::Plugin(Plugin::List { json }) => commands::plugin::list(&paths.runtime_dir, json),
        Command::Plugin(Plugin::Compile { file }) => commands::plugin::compile(
            paths.worker_of_command()?,
            file.as_ref().unwrap_or(&paths.config),
            &config::Options::of_process(paths.plugin_dir.clone()),
            (&paths.cache_dir, &paths.state_dir),
        ),
        Command::Plugin(Plugin::Run(arguments)) => {
            let file = commands::plugin::component(&arguments.component, paths.plugin_dir.clone())?;
            commands::plugin::run(&paths.worker_with_cache()?, &file, &arguments)
        }
    }
}

impl Paths {
    /// The daemon uses the worker's unit where there is one: it may not start what runs plugins.
    fn worker_of_daemon(&self) -> Result<Source, Failure> {
        let installed = Path::new(WORKER_SOCKET);
        if self.worker.is_none() && self.worker_socket.is_none() && installed.exists() {
            return Ok(Source::socket(installed.to_owned()));
        }
        self.worker_of_command()
    }

    /// A command starts a worker of its own: who calls it need not be allowed to use the unit's.
    fn worker_of_command(&self) -> Result<Source, Failure> {
        if let Some(path) = &self.worker_socket {
            return Ok(Source::socket(path.clone()));
        }
        let program = worker::find_program(self.worker.as_deref())
            .map_err(|error| Failure::new(exit::UNAVAILABLE, error.to_string()))?;
        Ok(Source::child(program, Vec::new()))
    }

    /// As [`Self::worker_of_command`], with what the daemon has compiled, where that can be read.
    fn worker_with_cache(&self) -> Result<Source, Failure> {
        let source = self.worker_of_command()?;
        Ok(match Cache::reading(&self.cache_dir, &self.state_dir) {
            Ok(cache) => source.with_cache(cache),
            Err(_) => source,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_after_the_command() {
        for arguments in [
            ["mainstay", "--runtime-dir", "/x", "status"],
            ["mainstay", "status", "--runtime-dir", "/x"],
        ] {
            let cli = Cli::try_parse_from(arguments).unwrap();
            assert_eq!(cli.paths.runtime_dir, Path::new("/x"));
        }
    }
}
