//! The other life of a worker: it compiles one component, and ends.
//!
//! A component can be made so that compiling it takes for ever or all memory; that costs this
//! process, which nobody waits for but the load of that plugin. The plainest of them are refused before.

mod extent;

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use mainstay_protocol::carrier::Carrier;
use mainstay_protocol::{Blank, CompileFault, FromWorker, Sealed, frame};
use mainstay_sandbox as sandbox;
use wasmtime::Engine;

use crate::session::SessionError;
use crate::text::one_line;

/// Bytes kept of what the compiler says.
const TEXT: usize = 512;

/// Compiles the component and answers with its code.
///
/// # Errors
/// [`SessionError`] when the component cannot be read or the answer not be given.
pub(crate) fn answer(
    stream: Carrier<UnixStream>,
    engine: &Engine,
    component: &Sealed,
) -> Result<(), SessionError> {
    let code = Blank::new("mainstay-code")?;
    for missing in sandbox::enter_to_compile()? {
        eprintln!("mainstay-worker: confined, but for this: {missing}");
    }
    let stream = stream.into_inner();
    end_with(stream.try_clone()?)?;
    let start = Instant::now();
    let compiled = compile(engine, &component.to_vec()?);
    let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (code, fault) = match compiled {
        Ok(bytes) => (Some(code.hold(&bytes)?), None),
        Err(fault) => (None, Some(fault)),
    };
    let answer = frame::encode(&FromWorker::Compiled { took_us, fault })?;
    Carrier::new(stream).send(&answer, code.as_ref().map(AsFd::as_fd))?;
    Ok(())
}

/// Ends the process when the daemon closes the stream: there is no other way to end the compiler.
fn end_with(mut stream: UnixStream) -> std::io::Result<()> {
    let watching = move || {
        // Nothing comes any more but the end.
        let _ = stream.read(&mut [0]);
        std::process::exit(0);
    };
    std::thread::Builder::new()
        .name("end".to_owned())
        .spawn(watching)?;
    Ok(())
}

fn compile(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, CompileFault> {
    extent::look(component).map_err(|too_much| CompileFault {
        message: too_much.to_string(),
        help: Some("build it without what makes it large".to_owned()),
    })?;
    let compiling = AssertUnwindSafe(|| engine.precompile_component(component));
    let message = match std::panic::catch_unwind(compiling) {
        Ok(Ok(code)) => return Ok(code),
        Ok(Err(error)) => error.root_cause().to_string(),
        Err(_) => "the compiler failed on it".to_owned(),
    };
    Err(CompileFault {
        message: one_line(&format!("is not a valid component: {message}"), TEXT),
        help: Some("build it again; `wasm-tools validate` tells more".to_owned()),
    })
}
