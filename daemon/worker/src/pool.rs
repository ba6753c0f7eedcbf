//! Places where the instances of one plugin are made, with memory and stacks that stay mapped from run to run.
//!
//! Mapping and unmapping them, and the page faults in between, are more than half of what a small check costs. Each
//! plugin has a pool of its own, by an engine of its own: were anything left in a place, it would be the plugin's own.
//! What an instance has written is overwritten or given back when it ends, whatever the kernel knows of it.

use mainstay_protocol::Limits;
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::Linker;

use crate::code::Code;
use crate::contract::Interfaces;
use crate::engine::{self, Ticker};
use crate::host::{self, State};
use crate::plugin::Linked;

/// Places of a pool. Runs that find none free have memory of their own.
const PLACES: u32 = 2;
/// Bytes that a place may have beside the memory of its instance: a stack and tables.
const BESIDE: u64 = 8 << 20;
/// Bytes that all pools may have together. Plugins for which nothing is left have none.
pub(crate) const ROOM: u64 = 1 << 30;
/// The largest code, in bytes: that of small components. It is mapped twice, and a large one has more to do than to be
/// instantiated.
const CODE: u64 = 4 << 20;
/// Memories and tables of a component, at most: what one in Rust or C has.
const MEMORIES: u32 = 1;
const TABLES: u32 = 4;

/// Places for the instances of one plugin.
pub(crate) struct Pool {
    linked: Linked,
    free: Semaphore,
}

/// A place that is taken until this is dropped.
pub(crate) type Place<'a> = SemaphorePermit<'a>;

impl Pool {
    /// Places for a component that is small enough, out of the `room` that is left for pools.
    pub(crate) fn of(
        code: &Code,
        interfaces: &Interfaces,
        limits: &Limits,
        ticker: &Ticker,
        room: &mut u64,
    ) -> Option<Self> {
        let left = room.checked_sub(data(limits))?;
        let resources = code.component.resources_required()?;
        let small = code.length() <= CODE
            && resources.num_memories <= MEMORIES
            && resources.num_tables <= TABLES;
        if !small {
            return None;
        }
        let memory = usize::try_from(limits.memory).ok()?;
        let engine = engine::pooled(PLACES, &resources, memory).ok()?;
        let mut linker = Linker::<State>::new(&engine);
        host::link(&mut linker).ok()?;
        let component = code.map(&engine).ok()?;
        let linked = Linked::new(&linker, &component, interfaces).ok()?;
        ticker.add(&engine);
        *room = left;
        Some(Self {
            linked,
            free: Semaphore::new(PLACES as usize),
        })
    }

    /// A place, if one is free.
    pub(crate) fn place(&self) -> Option<(&Linked, Place<'_>)> {
        let place = self.free.try_acquire().ok()?;
        Some((&self.linked, place))
    }
}

/// Bytes that the pool of a plugin may have.
pub(crate) fn data(limits: &Limits) -> u64 {
    let place = limits.memory.saturating_add(BESIDE);
    place.saturating_mul(PLACES.into())
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::Sealed;

    use super::*;

    /// A pool for a component in text form, if it gets one.
    fn pool(text: &str, limits: &Limits) -> Option<Pool> {
        let engine = engine::new().unwrap();
        let component = wat::parse_str(text).unwrap();
        let compiled = engine.precompile_component(&component).unwrap();
        let sealed = Sealed::of("code", &compiled).unwrap();
        let code = Code::new(&engine, sealed.into()).unwrap();
        let interfaces = Interfaces::of(&code.component, &engine);
        let ticker = Ticker::new(&engine).unwrap();
        Pool::of(&code, &interfaces, limits, &ticker, &mut ROOM.clone())
    }

    /// A component of so many instances of a module.
    fn component(module: &str, instances: usize) -> String {
        let instances = "(core instance (instantiate $m))".repeat(instances);
        format!("(component (core module $m {module}) {instances})")
    }

    #[test]
    fn a_small_component_has_so_many_places() {
        let small = component("(memory 17) (table 8 funcref)", 1);
        let pool = pool(&small, &Limits::default()).unwrap();
        let mut taken: Vec<_> = (0..PLACES).map(|_| pool.place().unwrap()).collect();
        assert!(pool.place().is_none());
        taken.pop();
        assert!(pool.place().is_some());
    }

    #[test]
    fn a_large_one_has_none() {
        let limits = Limits::default();
        assert!(pool(&component("(memory 1)", 2), &limits).is_none());
        assert!(pool(&component("(table 1 funcref)", 5), &limits).is_none());
        let little = Limits {
            memory: 1 << 20,
            ..limits
        };
        assert!(pool(&component("(memory 17)", 1), &little).is_none());
        let much = Limits {
            memory: ROOM / 2,
            ..Limits::default()
        };
        assert!(pool(&component("(memory 17)", 1), &much).is_none());
    }
}
