//! The interfaces of the daemon that plugins import, one module each.
//!
//! Every function is linked for every plugin and checks the grants when it is called: components
//! of some languages import all that their world names, used or not.

mod budget;
mod dial;
mod fetch;
mod fifo;
mod files;
mod http;
mod log;
mod names;
mod probe;
mod proc_table;
mod process;
mod routers;
mod secrets;
mod slots;
mod state;
mod stdio;
mod tls;
mod units;
mod waiting;
mod wasi;
mod wasi_http;

pub(crate) use log::{Line, LogBudget, RunLog};
pub(crate) use names::Names;
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub use probe::Connection;
pub(crate) use proc_table::{Look, ProcTable};
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub use secrets::Secret;
pub(crate) use slots::Slots;
pub(crate) use tls::{SystemAuthorities, Tls};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_protocol::{Answer, Question, Refusal};
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings;
use crate::broker::Broker;
use crate::engine::Ticker;
use crate::grants::Grants;
use crate::in_flight::InFlight;
use crate::limits::Limiter;
use crate::tally::Tally;
use crate::text::one_line;
use crate::turn::Turn;
use fetch::Fetcher;
use files::OpenFiles;
use wasi_http::WasiHttp;

/// Bytes of an instance that may wait without a turn, at most. Those of Rust have one to two million, those of languages
/// that bring an interpreter ten and more.
pub(crate) const WAITING: u64 = 4 << 20;
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
    turn: Turn,
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    log: Arc<RunLog>,
    /// Calls of `process`, `probe` and `http`, and sockets of the guest's own, for their quotas.
    asked: u32,
    probed: u32,
    fetched: u32,
    sockets: u32,
    /// Connections that it has opened to talk over.
    opened: u32,
    /// Bytes received over connections.
    received: usize,
    /// The same for `state`, for `fifo`, and for `routers` and `units` together.
    kept: u32,
    piped: u32,
    looked: u32,
    opened_files: OpenFiles,
    wasi: Wasi,
    wasi_http: WasiHttp,
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
    pub(crate) probes: Slots,
    /// The same for the files that are open.
    pub(crate) files: Slots,
    /// What only the daemon can do.
    pub(crate) broker: Broker,
    /// Looks names up.
    pub(crate) names: Names,
    /// Clients of TLS.
    pub(crate) tls: Tls,
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
        let context = wasi::context(&grants, &tally, &log);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        let fetcher = Fetcher {
            permission: "wasi-http",
            // What everybody's libraries ask for goes by what is granted alone.
            target: None,
            grants: grants.clone(),
            shared: shared.clone(),
            tally: tally.clone(),
            deadline,
        };
        Self {
            limiter: Limiter::new(memory, tally.clone()),
            deadline,
            grants,
            target,
            turn: Turn::default(),
            shared,
            tally,
            log,
            asked: 0,
            probed: 0,
            fetched: 0,
            sockets: 0,
            opened: 0,
            received: 0,
            kept: 0,
            piped: 0,
            looked: 0,
            opened_files: OpenFiles::default(),
            wasi: Wasi { context, resources },
            wasi_http: WasiHttp::new(fetcher),
        }
    }

    /// The same, of a run that has this turn.
    #[must_use]
    pub(crate) fn with_turn(self, turn: Turn) -> Self {
        Self { turn, ..self }
    }

    /// When this run is over.
    #[must_use]
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What this run did so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The turn to wait with for what others take their time for: a large instance keeps its turn, and so does one with
    /// more than one connection, file or listing, so that those that wait without one are bounded in memory and
    /// descriptors as well.
    fn waiting_turn(&mut self) -> Turn {
        let files = self.opened_files.count(&self.wasi.resources);
        let open = files + (self.opened + self.sockets) as usize;
        match self.limiter.used() <= WAITING && open <= 1 {
            true => self.turn.clone(),
            false => Turn::default(),
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl State {
    /// What a guest has passed, as it may be shown to people: without its secrets, one line, cut to `limit` bytes.
    fn shown(&self, text: &str, limit: usize) -> String {
        one_line(&self.grants.secrets.blot(text), limit)
    }

    /// Asks the daemon on behalf of this plugin; ended by the deadline of the run. Who waits for long does so without a
    /// turn.
    async fn ask(&mut self, question: Question) -> Result<Answer, Refusal> {
        let turn = self.waiting_turn();
        let asked = self.shared.broker.ask(&self.grants.plugin, question);
        let (answer, _) = turn.wait(asked).await?;
        Ok(answer)
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

impl std::fmt::Debug for WasiHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WasiHttp")
    }
}

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
    wasi::link_sockets(linker)?;
    files::link(linker)?;
    waiting::link(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    bindings::common::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::network::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::budget::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::process::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::probe::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::http::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::fifo::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::secrets::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::state::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::routers::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    bindings::services::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    // Linked for all; who imports it without leave is refused before.
    let unstable = bindings::units::LinkOptions::default()
        .service_manager(true)
        .to_owned();
    bindings::units::add_to_linker::<_, HasSelf<_>>(linker, &unstable, |state| state)?;
    Ok(())
}
