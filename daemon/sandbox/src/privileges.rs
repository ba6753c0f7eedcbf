//! Capabilities, user, priority and resource limits.

use std::fs;

use mainstay_protocol::{CODE_LIMIT, COMPILER_MEMORY, COMPILER_SECONDS};
use rustix::io::Errno;
use rustix::process::{
    Gid, Resource, Rlimit, Uid, getpriority_process, getrlimit, getuid, setpriority_process,
    setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::SandboxError;

/// How nice the worker is; checks must never take the processor from the daemon.
const NICE: i32 = 10;
/// The same while it compiles, which nobody waits for.
const COMPILER_NICE: i32 = 19;
/// Open files. 160 probes and 160 files of plugins at once, 16 sockets of each run and one of each that waits, their
/// granted directories, the files of one look at `/proc`, and some to spare.
const OPEN_FILES: u64 = 1024;
/// Open files of processes beside those, for who looks at the same ones again and again.
const KEPT_FILES: u64 = 4096;
/// Threads that the user may have beyond those that the machine has now. The kernel counts those of
/// one user together, whoever else that is.
const THREADS: u64 = 512;
/// Where the machine's memory runs out, the worker goes before the daemon: the same as in its unit.
const OOM_SCORE_ADJUST: i32 = 500;
/// User and group "nobody", to become when started by root.
const NOBODY: u32 = 65534;

/// Sets the limits that hold from now on, `data` bytes of memory among them.
pub(super) fn limit(data: u64) -> Result<(), SandboxError> {
    limit_all(OPEN_FILES + KEPT_FILES)?;
    lower(Resource::Data, data).map_err(refused("limit memory"))
}

/// Core dumps are off: they would hold plugins' data.
fn limit_all(open_files: u64) -> Result<(), SandboxError> {
    lower(Resource::Core, 0).map_err(refused("switch off core dumps"))?;
    lower(Resource::Nofile, open_files).map_err(refused("limit open files"))?;
    lower(Resource::Nproc, threads().saturating_add(THREADS)).map_err(refused("limit threads"))?;
    yield_to_others(NICE)
}

/// As [`limit`], with what one compilation may take.
pub(super) fn limit_compiler() -> Result<(), SandboxError> {
    limit_all(OPEN_FILES)?;
    lower(Resource::As, COMPILER_MEMORY).map_err(refused("limit memory"))?;
    lower(Resource::Fsize, CODE_LIMIT).map_err(refused("limit the code"))?;
    // Ends with SIGXCPU, which nobody else sends, and not with the SIGKILL of the hard limit.
    let before = getrlimit(Resource::Cpu);
    let seconds = Rlimit {
        current: Some(
            before
                .maximum
                .map_or(COMPILER_SECONDS, |most| most.min(COMPILER_SECONDS)),
        ),
        ..before
    };
    setrlimit(Resource::Cpu, seconds).map_err(refused("limit processor time"))?;
    yield_to_others(COMPILER_NICE)
}

/// How many files can be kept open when the limits hold, and leave enough to all others. Where the
/// limit is low already, that is none.
pub(super) fn kept_files() -> u64 {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    most.saturating_sub(OPEN_FILES).min(KEPT_FILES)
}

/// How many threads the machine has now: in the fourth field, behind those that run.
fn threads() -> u64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let field = load.split_whitespace().nth(3);
    let all = field.and_then(|field| field.split_once('/')?.1.parse().ok());
    all.unwrap_or(u64::MAX)
}

fn lower(resource: Resource, limit: u64) -> Result<(), Errno> {
    let most = getrlimit(resource).maximum;
    let limit = Some(most.map_or(limit, |most| most.min(limit)));
    let both = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(resource, both)
}

fn yield_to_others(nice: i32) -> Result<(), SandboxError> {
    if getpriority_process(None).map_err(refused("read the priority"))? < nice {
        setpriority_process(None, nice).map_err(refused("lower the priority"))?;
    }
    Ok(())
}

/// Takes back what a child of the daemon inherits: the daemon's protection when memory runs out.
/// Returns what was refused.
pub(super) fn go_before_the_daemon() -> Option<String> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let raise = || {
        let current: i32 = fs::read_to_string(FILE)?
            .trim()
            .parse()
            .map_err(std::io::Error::other)?;
        if current < OOM_SCORE_ADJUST {
            fs::write(FILE, OOM_SCORE_ADJUST.to_string())?;
        }
        Ok(())
    };
    let refusal: Result<(), std::io::Error> = raise();
    refusal.err().map(|error| format!("{FILE}: {error}"))
}

/// Gives up root, every capability, and the way back. Returns what was refused but may be.
pub(super) fn drop_all() -> Result<Option<String>, SandboxError> {
    // Without CAP_SETPCAP there is nothing to remove: whoever lacks it gains nothing from the set,
    // since no_new_privs keeps execve from raising anything.
    for bit in 0..64 {
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)).is_err() {
            break;
        }
    }
    let refusal = getuid().is_root().then(become_nobody).and_then(Result::err);
    match clear_ambient_capability_set() {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(refused("clear the ambient capabilities")(error)),
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(refused("drop the capabilities"))?;
    set_no_new_privs(true).map_err(refused("set no_new_privs"))?;
    Ok(refusal.map(|error| format!("still root: cannot become user {NOBODY}: {error}")))
}

fn become_nobody() -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    // In a user namespace setgroups can be forbidden while there are no groups to give up.
    if let Err(error) = set_thread_groups(&[])
        && !rustix::process::getgroups()?.is_empty()
    {
        return Err(error);
    }
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)
}

fn refused(what: &'static str) -> impl Fn(Errno) -> SandboxError {
    move |error| SandboxError::Refused(what, error.into())
}
