//! seccomp: which system calls the process can still make.
//!
//! An allow-list; whatever is not on it fails with EPERM, so that a library that tries something
//! newer falls back instead of killing the worker.

use std::collections::BTreeMap;

use libc::{
    AF_INET, AF_INET6, CLONE_THREAD, F_ADD_SEALS, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL,
    F_SETFD, F_SETFL, FIOCLEX, FIONBIO, IPPROTO_TCP, IPPROTO_UDP, MAP_GROWSDOWN, MAP_PRIVATE,
    MAP_TYPE, PR_SET_NAME, SO_ATTACH_BPF, SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF,
    SO_ATTACH_REUSEPORT_EBPF, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET,
};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter,
};

/// `PR_SET_VMA`: the C library names its mappings with it.
const PR_SET_VMA: u64 = 0x5356_4d41;
/// The bits of a socket's type that are not flags.
const SOCK_TYPE_MASK: u64 = 0xf;

/// Allowed whatever the arguments.
const ALLOWED: &[libc::c_long] = &[
    // files and streams that are open, and opening within what Landlock leaves
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    // memory; a mapping must be one that the limit of memory counts
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // threads
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // signals of our own
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // time, chance, identity
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    // waiting
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    // sockets: what kind is decided where they are made
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
];

/// The calls that only older architectures have, and their C libraries use.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// What the process is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Job {
    /// Plugins run in it, which may be granted to probe.
    Serve {
        /// Whether sockets can be bound.
        bind: bool,
    },
    /// It compiles: no socket can be made.
    Compile,
}

/// Installs the filters on this thread and all that it will start.
pub(super) fn filter(job: Job) -> Result<(), Error> {
    // clone3 keeps its flags in memory, where a filter cannot look. Told that it does not exist,
    // the C library uses clone. The strictest answer of all filters counts.
    let errno = |code: i32| SeccompAction::Errno(code.unsigned_abs());
    install(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        errno(libc::ENOSYS),
    )?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED
        .iter()
        .chain(ALLOWED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    rules.extend(conditional()?);
    if let Job::Serve { bind } = job {
        rules.insert(libc::SYS_socket, internet_sockets()?);
        rules.insert(libc::SYS_setsockopt, options_without_programs()?);
        if bind {
            rules.insert(libc::SYS_bind, Vec::new());
        }
    }
    install(rules, errno(libc::EPERM), SeccompAction::Allow)
}

/// The calls that are allowed with certain arguments only.
fn conditional() -> Result<Vec<(i64, Vec<SeccompRule>)>, Error> {
    let own_pid = u64::from(std::process::id());
    Ok(vec![
        // Not shared, not as a stack that grows: neither counts as data, which is limited.
        (
            libc::SYS_mmap,
            one(masked(
                3,
                (MAP_TYPE | MAP_GROWSDOWN).unsigned_abs().into(),
                MAP_PRIVATE.unsigned_abs().into(),
            )?)?,
        ),
        // threads yes, processes no
        (
            libc::SYS_clone,
            one(masked(0, CLONE_THREAD as u64, CLONE_THREAD as u64)?)?,
        ),
        // abort() signals its own thread
        (libc::SYS_tgkill, one(equal(0, own_pid)?)?),
        // not F_SETOWN, by which the kernel signals whom one likes
        (
            libc::SYS_fcntl,
            either([
                equal(1, F_DUPFD_CLOEXEC as u64)?,
                equal(1, F_GETFD as u64)?,
                equal(1, F_SETFD as u64)?,
                equal(1, F_GETFL as u64)?,
                equal(1, F_SETFL as u64)?,
                equal(1, F_ADD_SEALS as u64)?,
                equal(1, F_GET_SEALS as u64)?,
            ])?,
        ),
        (
            libc::SYS_ioctl,
            either([equal(1, FIONBIO)?, equal(1, FIOCLEX)?])?,
        ),
        (
            libc::SYS_prctl,
            either([equal(0, PR_SET_NAME as u64)?, equal(0, PR_SET_VMA)?])?,
        ),
        // its own limits, to read only: the third argument would be the new ones
        (
            libc::SYS_prlimit64,
            vec![SeccompRule::new(vec![
                equal(0, 0)?,
                SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?,
            ])?],
        ),
    ])
}

/// TCP and UDP, and no other protocol of these types.
fn internet_sockets() -> Result<Vec<SeccompRule>, Error> {
    let mut sockets = Vec::new();
    for domain in [AF_INET, AF_INET6] {
        for (kind, own) in [(SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP)] {
            for protocol in [0, own] {
                sockets.push(SeccompRule::new(vec![
                    equal(0, domain.unsigned_abs().into())?,
                    masked(1, SOCK_TYPE_MASK, kind.unsigned_abs().into())?,
                    equal(2, protocol.unsigned_abs().into())?,
                ])?);
            }
        }
    }
    Ok(sockets)
}

/// Every option of a socket but those that give the kernel a program to run.
fn options_without_programs() -> Result<Vec<SeccompRule>, Error> {
    let differs = |argument, value: i32| {
        let value = u64::from(value.unsigned_abs());
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
    };
    let mut harmless = Vec::new();
    for program in [
        SO_ATTACH_FILTER,
        SO_ATTACH_BPF,
        SO_ATTACH_REUSEPORT_CBPF,
        SO_ATTACH_REUSEPORT_EBPF,
    ] {
        harmless.push(differs(2, program)?);
    }
    Ok(vec![
        SeccompRule::new(vec![differs(1, SOL_SOCKET)?])?,
        SeccompRule::new(harmless)?,
    ])
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        value,
    )?)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(mask),
        value,
    )?)
}

fn one(condition: SeccompCondition) -> Result<Vec<SeccompRule>, Error> {
    either([condition])
}

fn either<const N: usize>(conditions: [SeccompCondition; N]) -> Result<Vec<SeccompRule>, Error> {
    conditions
        .into_iter()
        .map(|condition| Ok(SeccompRule::new(vec![condition])?))
        .collect()
}

fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<(), Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let program: BpfProgram =
        SeccompFilter::new(rules, otherwise, on_match, architecture)?.try_into()?;
    apply_filter(&program)
}
