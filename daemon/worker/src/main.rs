//! `mainstay-worker`: started by `mainstay` with a socket, or by systemd for each connection.

use std::os::fd::RawFd;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use mainstay_worker::{control, session};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mainstay-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let stream = control::adopt(descriptor()?)?;
    session::serve(stream)?;
    Ok(())
}

/// `--fd N` names the control socket; without it, systemd's, and else standard input.
fn descriptor() -> Result<RawFd> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(control::passed_by_systemd().unwrap_or(0)),
        [flag, number] if flag == "--fd" => number
            .parse::<u16>()
            .map(RawFd::from)
            .with_context(|| format!("--fd {number} is not the number of a descriptor")),
        _ => bail!("usage: mainstay-worker [--fd N]; mainstay starts it itself"),
    }
}
