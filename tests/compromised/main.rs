//! A plugin worker that has been taken over: it says hello and confines itself as the real one
//! does, and from then on its native code tries what an attacker would. What came of each attack is
//! a line on standard error, which the scenarios read.
//!
//! With `--unconfined` it attacks the first process without any confinement: there the attacks have to
//! succeed, or they would prove nothing.

#![expect(
    unsafe_code,
    reason = "system calls as an attacker makes them, past every library"
)]

mod attack;
mod exhaustion;
mod files;
mod kernel;
mod processes;
mod sockets;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};
use mainstay_lab::compromised::Victim;
use mainstay_protocol::carrier::Carrier;
use mainstay_protocol::{Blank, FromWorker, Load, ToWorker, VERSION, frame};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use attack::Attacks;

/// What the real worker has for a small configuration, in bytes.
const DATA: u64 = 1_600 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--fd", number, ..] => number.parse()?,
        ["--unconfined"] => {
            let victim = Victim::of(1)?;
            return everything(&mut Attacks::default(), &victim);
        }
        _ => bail!("usage: mainstay-compromised --fd N, or --unconfined"),
    };
    // SAFETY: whoever started this has passed the connection under this number.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(number) });
    let daemon = getsockopt(&stream, PeerCredentials)?.pid();
    let victim = Victim::of(daemon.unsigned_abs())?;
    let mut stream = Carrier::new(stream);
    let hello = FromWorker::Hello {
        version: VERSION,
        build: "compromised".to_owned(),
        engine: "0123456789abcdef".to_owned(),
        pid: std::process::id(),
    };
    stream.send(&frame::encode(&hello)?, None)?;
    match frame::read(&mut stream)? {
        Some(ToWorker::Load(load)) => serve(stream, load, &victim),
        Some(ToWorker::Compile { .. }) => compile(stream, &victim),
        Some(other) => bail!("something before the load: {other:?}"),
        None => Ok(()),
    }
}

/// Loads, and attacks once the daemon relies on it.
fn serve(mut stream: Carrier<UnixStream>, load: Load, victim: &Victim) -> Result<()> {
    let plugins = load.plugins.iter();
    let granted = mainstay_sandbox::Granted {
        pid_files: plugins
            .flat_map(|plugin| plugin.grants.process.pid_files.iter().cloned())
            .collect(),
        ..Default::default()
    };
    let missing = mainstay_sandbox::enter(&granted, DATA)?;
    let wanted: BTreeSet<&str> = load.plugins.iter().map(|plugin| &*plugin.code).collect();
    for _ in wanted {
        frame::read::<ToWorker>(&mut stream)?.context("no code")?;
        stream.descriptors.take().context("no code")?;
    }
    let loaded = FromWorker::Loaded {
        generation: load.generation,
        plugins: Vec::new(),
        faults: Vec::new(),
    };
    stream.send(&frame::encode(&loaded)?, None)?;
    while let Some(message) = frame::read::<ToWorker>(&mut stream)? {
        if message == ToWorker::Start {
            let mut attacks = Attacks::default();
            for missing in &missing {
                attacks.lacking(missing);
            }
            everything(&mut attacks, victim)?;
        }
    }
    Ok(())
}

/// Attacks from where a component is compiled, and answers as if nothing was.
fn compile(mut stream: Carrier<UnixStream>, victim: &Victim) -> Result<()> {
    stream.descriptors.take().context("no component")?;
    let code = Blank::new("code")?;
    let missing = mainstay_sandbox::enter_to_compile()?;
    let mut attacks = Attacks::of_a_compiler();
    for missing in &missing {
        attacks.lacking(missing);
    }
    everything(&mut attacks, victim)?;
    let code = code.hold(b"code of an attacker")?;
    let answer = FromWorker::Compiled {
        took_us: 1,
        fault: None,
    };
    stream.send(&frame::encode(&answer)?, Some(code.as_fd()))?;
    // Its end, which nobody minds any more.
    kernel::attack_as_another_architecture(&mut attacks);
    Ok(())
}

fn everything(attacks: &mut Attacks, victim: &Victim) -> Result<()> {
    sockets::attack(attacks);
    attacks.flush();
    processes::attack(attacks, victim);
    attacks.flush();
    files::attack(attacks, victim);
    attacks.flush();
    kernel::attack(attacks);
    attacks.flush();
    exhaustion::attack(attacks);
    attacks.over();
    Ok(())
}
