//! The interfaces of the daemon that plugins import, one module each.
//!
//! Every function is linked for every plugin and checks the grants when it is called: components
//! of some languages import all that their world names, used or not.

mod budget;
mod dial;
mod log;
mod probe;
mod proc_table;
mod process;
mod stdio;

pub(crate) use log::{Line, LogBudget, RunLog};
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub use probe::Connection;
pub(crate) use probe::ProbeSlots;
pub(crate) use proc_table::{Look, ProcTable};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings;
use crate::broker::Broker;
use crate::engine::Ticker;
use crate::grants::Grants;
use crate::in_flight::InFlight;
use crate::limits::Limiter;
use crate::tally::Tally;

/// Random bytes that a guest gets in one call, at most.
const RANDOM: u64 = 64 << 10;
/// Resources of the host that a guest holds, at most.
const RESOURCES: usize = 1000;

/// What the host functions of one run know.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) limiter: Limiter,
    deadline: Instant,
    grants: Arc<Grants>,
    /// What the run looks at: it may be probed without a grant.
    target: Option<SocketAddr>,
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    log: Arc<RunLog>,
    /// Calls of `process` and of `probe`, for their quotas.
    asked: u32,
    probed: u32,
    wasi: Wasi,
}

/// What all runs of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What the daemon is to know of the runs, and what keeps them from running for ever.
    pub(crate) in_flight: InFlight,
    pub(crate) ticker: Ticker,
    /// The processes of this machine, looked at only so often.
    pub(crate) processes: ProcTable,
    /// Bounds the probes that go on at the same time.
    pub(crate) probes: ProbeSlots,
    /// What only the daemon can do.
    pub(crate) broker: Broker,
}

/// WASI's part of a run. Apart, since it cannot be printed.
struct Wasi {
    context: WasiCtx,
    resources: ResourceTable,
}

impl State {
    /// The state of a run that ends at `deadline`.
    #[must_use]
    pub(crate) fn new(
        deadline: Instant,
        memory: u64,
        grants: Arc<Grants>,
        target: Option<SocketAddr>,
        shared: Arc<Shared>,
        tally: Arc<Tally>,
        log: Arc<RunLog>,
    ) -> Self {
        // Default deny: no environment, no arguments, no directories, and no sockets at all.
        let context = WasiCtx::builder()
            .stdout(stdio::Output::stdout(&log))
            .stderr(stdio::Output::stderr(&log))
            .max_random_size(RANDOM)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        Self {
            limiter: Limiter::new(memory, tally.clone()),
            deadline,
            grants,
            target,
            shared,
            tally,
            log,
            asked: 0,
            probed: 0,
            wasi: Wasi { context, resources },
        }
    }

    /// When this run is over.
    #[must_use]
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi.context,
            table: &mut self.wasi.resources,
        }
    }
}

impl bindings::common::Host for State {}
impl bindings::network::Host for State {}

impl std::fmt::Debug for Wasi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wasi")
    }
}

/// Links everything that a plugin may import.
///
/// # Errors
/// When two interfaces clash, which no input can bring about.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    bindings::common::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::network::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::budget::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::process::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::probe::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    Ok(())
}
