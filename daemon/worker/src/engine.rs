//! How WebAssembly is compiled and interrupted here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
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

/// Starts the thread that makes guests look at the clock, until the engine is gone.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn tick(engine: &Engine) -> std::io::Result<()> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    Ok(())
}
