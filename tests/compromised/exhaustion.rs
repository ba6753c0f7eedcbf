//! The machine's means: memory, descriptors and threads, as many as there are to be had.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use libc::{MAP_ANONYMOUS, MAP_GROWSDOWN, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno;

use crate::DATA;
use crate::attack::{Attacks, address, syscall};

/// Descriptors that the worker may have open.
const DESCRIPTORS: u64 = 5120;

/// Threads that the worker may have beyond those of the machine, and that many more, since those
/// come and go.
const THREADS: u64 = 2 * 512;

const PIECE: i64 = 64 << 20;

pub(crate) fn attack(attacks: &mut Attacks) {
    attacks.call("memory-file", libc::SYS_memfd_create);
    attacks.refused("shared-memory", map(MAP_SHARED | MAP_ANONYMOUS));
    let stack = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN;
    attacks.refused("memory-as-stack", map(stack));
    attacks.bounded("memory", memory(), DATA);
    attacks.bounded("descriptors", descriptors(), DESCRIPTORS);
    let most = of_the_machine() + THREADS;
    attacks.bounded("threads", threads(most + 1), most);
}

fn map(flags: i32) -> Result<i64, Errno> {
    let access = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let flags = i64::from(flags | MAP_NORESERVE);
    let at = syscall(libc::SYS_mmap, [0, PIECE, access, flags, -1, 0])?;
    let _ = syscall(libc::SYS_munmap, [at, PIECE, 0, 0, 0, 0]);
    Ok(at)
}

/// Bytes that could be mapped at once. None is touched: the limit is on what may be.
fn memory() -> u64 {
    let access = i64::from(libc::PROT_READ | libc::PROT_WRITE);
    let flags = i64::from(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    let mut pieces = Vec::new();
    while pieces.len() < 1024
        && let Ok(at) = syscall(libc::SYS_mmap, [0, PIECE, access, flags, -1, 0])
    {
        pieces.push(at);
    }
    for at in &pieces {
        let _ = syscall(libc::SYS_munmap, [*at, PIECE, 0, 0, 0, 0]);
    }
    pieces.len() as u64 * PIECE.unsigned_abs()
}

/// Descriptors that could be open at once, after asking for as many as are allowed.
fn descriptors() -> u64 {
    let mut limit = [0_u64; 2];
    let place = limit.as_mut_ptr() as i64;
    let which = libc::RLIMIT_NOFILE.into();
    if syscall(libc::SYS_prlimit64, [0, which, 0, place, 0, 0]).is_ok() {
        let [_, most] = limit;
        let all = [most; 2];
        let _ = syscall(libc::SYS_prlimit64, [0, which, address(&all), 0, 0, 0]);
    }
    let copy = || {
        let duplicate = libc::F_DUPFD_CLOEXEC.into();
        syscall(libc::SYS_fcntl, [2, duplicate, 0, 0, 0, 0])
    };
    let mut open = Vec::new();
    while open.len() < 100_000
        && let Ok(descriptor) = copy()
    {
        open.push(descriptor);
    }
    for descriptor in &open {
        let _ = syscall(libc::SYS_close, [*descriptor, 0, 0, 0, 0, 0]);
    }
    open.len() as u64
}

/// Threads that could live at once.
fn threads(most: u64) -> u64 {
    let over = Arc::new((Mutex::new(false), Condvar::new()));
    let mut living = Vec::new();
    while (living.len() as u64) < most {
        let theirs = Arc::clone(&over);
        let wait = move || {
            let (ended, change) = &*theirs;
            let guard = ended.lock().unwrap_or_else(PoisonError::into_inner);
            drop(change.wait_while(guard, |ended| !*ended));
        };
        match thread::Builder::new().stack_size(16 << 10).spawn(wait) {
            Ok(thread) => living.push(thread),
            Err(_) => break,
        }
    }
    let count = living.len() as u64;
    *over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    over.1.notify_all();
    for thread in living {
        let _ = thread.join();
    }
    count
}

/// Threads that all processes have together.
fn of_the_machine() -> u64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let fields = load.split(&[' ', '/'][..]).nth(4);
    fields.and_then(|all| all.parse().ok()).unwrap_or(0)
}
