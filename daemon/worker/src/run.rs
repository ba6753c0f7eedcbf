//! One run: a fresh instance, one call, within limits that hold whatever the guest does.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use mainstay_protocol::{Fault, FaultKind};
use wasmtime::{FrameInfo, Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::bindings::common::PluginError;
use crate::host::{Line, RunLog, Shared, State};
use crate::limits::TABLE;
use crate::plugin::{Answer, Job, Plugin};
use crate::tally::Tally;
use crate::text::one_line;
use crate::turn::Turn;

/// Bytes that a guest may pass to the host in one call, its answer included.
const CALL: usize = 1 << 20;
/// Handles of a guest, at most.
const HANDLES: usize = 1000;
/// How much longer than its deadline a run may wait in a host function.
const GRACE: Duration = Duration::from_millis(50);
/// The longest name of a function or a module in a trace, in bytes.
const NAME: usize = 512;
/// The longest message of a fault, in bytes.
const MESSAGE: usize = 512;

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Ending {
    /// What the plugin answered, or why it did not.
    pub(crate) answer: Result<Answer, Fault>,
    /// From instantiation to the end.
    pub(crate) took: Duration,
    /// What it did.
    pub(crate) tally: Arc<Tally>,
    /// What it logged.
    pub(crate) lines: Vec<Line>,
}

/// What a run may do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Permission {
    /// What the configuration grants, and to probe what it looks at.
    Granted {
        /// The endpoint that it looks at.
        target: Option<SocketAddr>,
    },
    /// Nothing, whatever the configuration says: for calls that only describe or validate.
    Nothing,
}

/// Runs one job of a plugin and waits for its end, `timeout` and a little at the latest.
pub(crate) async fn run(
    plugin: &Plugin,
    shared: &Arc<Shared>,
    job: Job,
    timeout: Duration,
    permission: Permission,
    turn: Turn,
) -> Ending {
    let start = Instant::now();
    let _run = shared.in_flight.begin(plugin.number);
    let _ticking = shared.ticker.tick();
    let tally = Arc::new(Tally::default());
    let secrets = &plugin.grants.secrets;
    let log = Arc::new(RunLog::new(plugin.log.clone(), secrets.clone()));
    let (grants, target) = match permission {
        Permission::Granted { target } => (plugin.grants.clone(), target),
        Permission::Nothing => (Arc::default(), None),
    };
    let state = State::new(
        start + timeout,
        plugin.limits.memory,
        grants,
        target,
        shared.clone(),
        tally.clone(),
        log.clone(),
    )
    .with_turn(turn);
    let call = AssertUnwindSafe(call(plugin, state, job)).catch_unwind();
    let answer = match tokio::time::timeout(timeout + GRACE, call).await {
        Err(_) => Err(overdue(timeout)),
        Ok(Err(panic)) => Err(fault(FaultKind::Trap, &panic_message(&*panic))),
        Ok(Ok(Err(error))) => Err(explain(&error, plugin, &tally, timeout)),
        Ok(Ok(Ok(Answer::Failed(mut error)))) => {
            secrets.blot_error(&mut error);
            Err(failed(error, &tally))
        }
        Ok(Ok(Ok(Answer::Report(mut report)))) => {
            secrets.blot_report(&mut report);
            Ok(Answer::Report(report))
        }
        Ok(Ok(Ok(answer))) => Ok(answer),
    };
    Ending {
        answer,
        took: start.elapsed(),
        tally,
        lines: log.take(),
    }
}

async fn call(plugin: &Plugin, state: State, job: Job) -> wasmtime::Result<Answer> {
    // Given back after the instance, which is dropped first.
    let (linked, _place) = plugin.next();
    let mut store = Store::new(linked.instances.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(CALL);
    store.set_max_component_handles(HANDLES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        if Instant::now() >= context.data().deadline() {
            return Err(Overdue.into());
        }
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::task::yield_now()),
        ))
    });
    let begin = Instant::now();
    let instance = linked.instances.instantiate_async(&mut store).await?;
    store.data().tally().instantiated(begin.elapsed());
    linked.perform(&mut store, &instance, job).await
}

/// Turns the error that ended a run into a fault.
fn explain(error: &wasmtime::Error, plugin: &Plugin, tally: &Tally, timeout: Duration) -> Fault {
    if error.is::<Overdue>() || error.downcast_ref() == Some(&Trap::Interrupt) {
        return overdue(timeout);
    }
    if let Some(I32Exit(status)) = error.downcast_ref() {
        let message = format!("the plugin called exit with status {status}");
        return fault(FaultKind::Error, &message);
    }
    let cause = error.root_cause().to_string();
    if tally.met_memory_limit() {
        let limit = plugin.limits.memory;
        let message = format!("it wanted more than its memory of {limit} bytes: {cause}");
        return fault(FaultKind::Limit, &message);
    }
    if tally.met_table_limit() {
        let message = format!("it wanted a table of more than {TABLE} elements: {cause}");
        return fault(FaultKind::Limit, &message);
    }
    if cause.contains(OUT_OF_CALL_FUEL) {
        let message = format!("it passed more than {CALL} bytes in one call");
        return fault(FaultKind::Limit, &message);
    }
    if cause.contains(TOO_MANY) {
        return fault(FaultKind::Limit, &cause);
    }
    let place = error.downcast_ref().and_then(place).unwrap_or_default();
    let secrets = &plugin.grants.secrets;
    fault(FaultKind::Trap, &secrets.blot(&format!("{cause}{place}")))
}

/// How wasmtime words an exhausted budget of one call, and a count over the limiter's. It has no
/// public types for them; tests hold the words to these.
const OUT_OF_CALL_FUEL: &str = "fuel allocated for hostcalls";
const TOO_MANY: &str = "resource limit exceeded";

/// The innermost functions of a trap, as far as the component names them. Not as wasmtime writes
/// them: to it, 200 bytes of a C++ name can be a gigabyte.
fn place(trace: &WasmBacktrace) -> Option<String> {
    let names: Vec<String> = trace.frames().iter().map(name).collect();
    (!names.is_empty()).then(|| format!(" in {}", names.join(" < ")))
}

fn name(frame: &FrameInfo) -> String {
    let module = one_line(frame.module().name().unwrap_or("<unknown>"), NAME);
    let Some(function) = frame.func_name() else {
        return format!("{module}!<wasm function {}>", frame.func_index());
    };
    if function.len() > NAME {
        return format!("{module}!{}", one_line(function, NAME));
    }
    // Ends at a million bytes by itself.
    format!("{module}!{}", rustc_demangle::demangle(function))
}

fn failed(error: PluginError, tally: &Tally) -> Fault {
    match error {
        PluginError::InvalidSettings(why) => {
            fault(FaultKind::Error, &format!("invalid settings: {why}"))
        }
        PluginError::NotPermitted(why) => {
            let lines: Vec<String> = tally.denied().into_iter().map(|(_, line)| line).collect();
            let grant = match lines.first() {
                Some(line) => format!("; to grant it: {line}"),
                None => String::new(),
            };
            fault(FaultKind::Denied, &format!("{why}{grant}"))
        }
        PluginError::Timeout => fault(FaultKind::Timeout, "the plugin gave up at its deadline"),
        PluginError::Failed(why) => fault(FaultKind::Error, &why),
    }
}

fn overdue(timeout: Duration) -> Fault {
    let message = format!("no answer within {} ms", timeout.as_millis());
    fault(FaultKind::Timeout, &message)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("a host function panicked: {what}")
}

fn fault(kind: FaultKind, message: &str) -> Fault {
    Fault {
        kind,
        message: one_line(message, MESSAGE),
    }
}

/// The deadline passed while the guest computed.
#[derive(Debug, thiserror::Error)]
#[error("the deadline passed")]
struct Overdue;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use mainstay_protocol::{Limits, in_flight};
    use wasmtime::component::{Component, Linker};

    use super::*;
    use crate::broker::Broker;
    use crate::engine::{self, Ticker};
    use crate::frames::Outbox;
    use crate::host::{LogBudget, Look, Names, ProcTable, Slots, SystemAuthorities, Tls};
    use crate::in_flight::InFlight;
    use crate::plugin::{Exports, Linked};

    /// A component that calls the host as soon as there is an instance.
    const CALLER: &str = r#"(component
        (import "host" (func $host))
        (core func $lowered (canon lower (func $host)))
        (core module $m (import "" "host" (func $host)) (start $host))
        (core instance (instantiate $m
            (with "" (instance (export "host" (func $lowered)))))))"#;

    #[tokio::test]
    async fn t33_a_host_function_that_panics_fails_its_run_and_nothing_else() {
        let engine = engine::new().unwrap();
        let component = Component::new(&engine, wat::parse_str(CALLER).unwrap()).unwrap();
        let plugin = |host: fn()| {
            let mut linker = Linker::<State>::new(&engine);
            let call = move |_: wasmtime::StoreContextMut<'_, State>, ()| {
                host();
                Ok(())
            };
            linker.root().func_wrap("host", call).unwrap();
            let limits = Limits::default();
            Plugin {
                name: "p".to_owned(),
                number: 0,
                grants: Arc::default(),
                log: Arc::new(LogBudget::new(limits.log_lines_per_minute)),
                limits,
                linked: Linked {
                    instances: linker.instantiate_pre(&component).unwrap(),
                    exports: Exports {
                        check: None,
                        hook: None,
                        lifecycle: None,
                    },
                },
                pool: None,
            }
        };
        let (stream, _daemon) = UnixStream::pair().unwrap();
        let outbox = Outbox::new(stream);
        let broker = Broker::new(outbox);
        let shared = Arc::new(Shared {
            in_flight: InFlight::new(in_flight::page(1).unwrap(), 1),
            ticker: Ticker::new(&engine).unwrap(),
            processes: ProcTable::new(Look::default(), 0),
            probes: Slots::default(),
            files: Slots::default(),
            names: Names::new(broker.clone()),
            broker,
            tls: Tls::new(SystemAuthorities::open()),
        });
        let second = Duration::from_secs(60);
        let [bad, good] = [plugin(|| panic!("on purpose")), plugin(|| ())];
        let inspect = async |plugin| {
            let (job, none) = (Job::Inspect, Permission::Nothing);
            run(plugin, &shared, job, second, none, Turn::default()).await
        };
        for _ in 0..3 {
            let ending = inspect(&bad).await;
            let fault = ending.answer.unwrap_err();
            assert_eq!(fault.kind, FaultKind::Trap);
            assert_eq!(fault.message, "a host function panicked: on purpose");
            let ending = inspect(&good).await;
            assert!(matches!(ending.answer, Ok(Answer::Inspected(None))));
        }
    }
}
