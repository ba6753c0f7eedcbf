//! How WebAssembly is compiled and interrupted here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel};

/// Time between two looks at the clock while a guest computes.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Stack of a guest, and of a guest with the host functions that it calls. The difference must
/// hold the deepest host function: an overflow there ends the process.
const GUEST_STACK: usize = 512 << 10;
const FIBER_STACK: usize = 2 << 20;

/// Functions that a trap names. Their names are copied, and may be almost as long as the component.
const FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(3);

/// The engine for all plugins. Starts no thread.
///
/// Only what components of today's toolchains need is switched on; each proposal that is off is
/// code of the compiler that a plugin cannot reach. No pooling allocator: four of wasmtime's
/// advisories are leaks or crashes of it, and at some hundred instances a second it gains nothing.
///
/// # Errors
/// When wasmtime does not know this processor.
pub(crate) fn new() -> wasmtime::Result<Engine> {
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
    Engine::new(&config)
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
    runs: AtomicUsize,
    asleep: AtomicBool,
}

impl Ticker {
    /// Starts the thread, which ticks until the engine is gone.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn new(engine: &Engine) -> std::io::Result<Self> {
        let weak = engine.weak();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("epoch".to_owned())
            .spawn(move || {
                while let Some(engine) = weak.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    shared.rest();
                    std::thread::sleep(TICK);
                }
            })?;
        Ok(Self {
            thread: thread.thread().clone(),
            state,
        })
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

impl State {
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
        let engine = new().unwrap();
        let module = Module::new(&engine, wat::parse_str(ENDLESS).unwrap()).unwrap();
        let ticker = Ticker::new(&engine).unwrap();
        for _ in 0..3 {
            interrupt(&engine, &module, &ticker);
            let limit = Instant::now() + Duration::from_secs(60);
            while !ticker.state.asleep.load(SeqCst) {
                assert!(Instant::now() < limit, "it ticks for nobody");
                std::thread::yield_now();
            }
        }
    }
}
