//! How WebAssembly is compiled and interrupted here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel,
    PoolingAllocationConfig, ResourcesRequired,
};

use crate::limits::{INSTANCES, TABLE};
use crate::tally::lock;

/// Time between two looks at the clock while a guest computes.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Stack of a guest, and of a guest with the host functions that it calls. The difference must
/// hold the deepest host function: an overflow there ends the process.
const GUEST_STACK: usize = 512 << 10;
const FIBER_STACK: usize = 2 << 20;

/// Bytes of an instance's memory, of each of its tables, and of its stack that are overwritten and kept when it ends. What
/// lies beyond goes back to the kernel; so does the whole of a memory that begins with more.
const KEPT: usize = 512 << 10;
const KEPT_TABLE: usize = 64 << 10;
const KEPT_STACK: usize = 32 << 10;
/// Bytes of wasmtime's own records of one instance, from its heap. They are as large as the code makes them.
const VM_CONTEXTS: usize = 16 << 20;

/// Functions that a trap names. Their names are copied, and may be almost as long as the component.
const FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(3);

/// The engine for all plugins: each instance gets memory of its own from the kernel and gives it back. Starts no thread.
///
/// # Errors
/// When wasmtime does not know this processor.
pub(crate) fn new() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

/// An engine for one component that needs `resources`, with so many places for instances. Their memory and stacks stay
/// mapped, and what one has written is set back before the next one comes. Runs the code that [`new`] runs.
///
/// # Errors
/// When there is not that much room for addresses.
pub(crate) fn pooled(
    places: u32,
    resources: &ResourcesRequired,
    memory: usize,
) -> wasmtime::Result<Engine> {
    let first = resources.max_initial_memory_size.unwrap_or(0);
    let kept = if first <= KEPT as u64 { KEPT } else { 0 };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(places)
        .total_core_instances(places * INSTANCES as u32)
        .total_memories(places * resources.num_memories)
        .total_tables(places * resources.num_tables)
        .total_stacks(places)
        .max_memories_per_module(resources.num_memories)
        .max_tables_per_module(resources.num_tables)
        .max_core_instance_size(VM_CONTEXTS)
        .max_component_instance_size(VM_CONTEXTS)
        .max_memory_size(memory)
        .table_elements(TABLE)
        .linear_memory_keep_resident(kept)
        .table_keep_resident(KEPT_TABLE)
        .async_stack_keep_resident(KEPT_STACK)
        .decommit_batch_size(1)
        // What the kernel tells of written pages leaves out those that are swapped out or moved at that moment.
        .pagemap_scan(Enabled::No);
    let mut config = config();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .async_stack_zeroing(true);
    Engine::new(&config)
}

/// Only what components of today's toolchains need is switched on; each proposal that is off is
/// code of the compiler that a plugin cannot reach.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBER_STACK)
        .wasm_backtrace_max_frames(FRAMES)
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(false)
        .concurrency_support(false)
        .gc_support(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false);
    config
}

/// What code has to be compiled for to be loaded here: 16 hexadecimal digits.
#[must_use]
pub(crate) fn identity(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Makes guests look at the clock: a thread that ticks while something runs, and sleeps else.
#[derive(Debug)]
pub(crate) struct Ticker {
    thread: Thread,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    engines: Mutex<Engines>,
    runs: AtomicUsize,
    asleep: AtomicBool,
}

impl Ticker {
    /// Starts the thread, which ticks until its engines are gone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(engine: &Engine) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        lock(&state.engines).0.push(engine.weak());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || {
                while shared.tick() {
                    shared.rest();
                    std::thread::sleep(TICK);
                }
            })?;
        Ok(Self {
            thread: thread.thread().clone(),
            state,
        })
    }

    /// Ticks for this engine as well.
    pub(crate) fn add(&self, engine: &Engine) {
        lock(&self.state.engines).0.push(engine.weak());
    }

    /// Ticks until the answer is dropped.
    #[must_use]
    pub(crate) fn tick(&self) -> Ticking<'_> {
        self.state.runs.fetch_add(1, SeqCst);
        if self.state.asleep.swap(false, SeqCst) {
            self.thread.unpark();
        }
        Ticking(&self.state)
    }
}

/// Apart, since they cannot be printed.
#[derive(Default)]
struct Engines(Vec<EngineWeak>);

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} engines", self.0.len())
    }
}

impl State {
    /// Moves the clocks of all engines; `false` when there is none any more.
    fn tick(&self) -> bool {
        let mut engines = lock(&self.engines);
        engines.0.retain(|engine| {
            let engine = engine.upgrade();
            engine.inspect(Engine::increment_epoch).is_some()
        });
        !engines.0.is_empty()
    }

    /// Waits until something runs. One of both sees the other: who falls asleep looks once more
    /// for runs, and who runs looks whether the thread sleeps.
    fn rest(&self) {
        if self.runs.load(SeqCst) > 0 {
            return;
        }
        self.asleep.store(true, SeqCst);
        while self.runs.load(SeqCst) == 0 && self.asleep.load(SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, SeqCst);
    }
}

/// The clock ticks as long as this lives.
#[derive(Debug)]
pub(crate) struct Ticking<'a>(&'a State);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use wasmtime::{Instance, Module, Store};

    use super::*;

    const ENDLESS: &str = r#"(module (func (export "f") (loop br 0)))"#;

    /// Ends an endless loop by the clock, as a run is ended.
    fn interrupt(engine: &Engine, module: &Module, ticker: &Ticker) {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        let endless = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
        let _ticking = ticker.tick();
        endless.call(&mut store, ()).unwrap_err();
    }

    #[test]
    fn the_clock_ticks_whenever_something_runs() {
        let engines = [new().unwrap(), new().unwrap()];
        let ticker = Ticker::new(&engines[0]).unwrap();
        ticker.add(&engines[1]);
        let module = |engine| Module::new(engine, wat::parse_str(ENDLESS).unwrap()).unwrap();
        let modules = engines.each_ref().map(module);
        for of in [0, 1, 0, 1] {
            interrupt(&engines[of], &modules[of], &ticker);
            let limit = Instant::now() + Duration::from_secs(60);
            while !ticker.state.asleep.load(SeqCst) {
                assert!(Instant::now() < limit, "it ticks for nobody");
                std::thread::yield_now();
            }
        }
    }
}
