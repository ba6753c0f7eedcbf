//! `wasi:io/poll`: a guest that waits for what WASI gives it, a clock or a socket, gives its turn to others.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll::{self, Host, HostPollable};

use super::State;

/// Puts the turn before the functions that wait.
///
/// # Errors
/// None, unless WASI is not linked yet.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    poll::add_to_linker::<_, Polling>(linker, |state| Pollables(state))?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Polling;

impl HasData for Polling {
    type Data<'a> = Pollables<'a>;
}

/// What a run can wait for.
struct Pollables<'a>(&'a mut State);

impl Host for Pollables<'_> {
    async fn poll(&mut self, all: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let turn = self.0.waiting_turn();
        turn.wait(self.0.wasi.resources.poll(all)).await
    }
}

impl HostPollable for Pollables<'_> {
    async fn block(&mut self, one: Resource<DynPollable>) -> wasmtime::Result<()> {
        let turn = self.0.waiting_turn();
        turn.wait(self.0.wasi.resources.block(one)).await
    }

    async fn ready(&mut self, one: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.0.wasi.resources.ready(one).await
    }

    fn drop(&mut self, one: Resource<DynPollable>) -> wasmtime::Result<()> {
        HostPollable::drop(&mut self.0.wasi.resources, one)
    }
}
