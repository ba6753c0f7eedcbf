//! Other processes, the daemon before all: signals, memory, limits, and what proc tells of them.

use std::path::Path;

use mainstay_lab::compromised::Victim;
use nix::errno::Errno;

use crate::attack::{Attacks, address, syscall};
use crate::files::{list, open};

/// Ignored by whoever does not expect it: an attack that succeeds does no harm.
const SIGNAL: i64 = libc::SIGURG as i64;

pub(crate) fn attack(attacks: &mut Attacks, victim: &Victim) {
    signals(attacks, victim.pid.into());
    memory(attacks, victim);
    shares(attacks, victim.pid.into());
    births(attacks);
    identity(attacks);
}

fn signals(attacks: &mut Attacks, pid: i64) {
    let info = [0_u8; 128];
    let info = address(&info);
    let tries: [(&str, libc::c_long, [i64; 6]); 9] = [
        ("kill", libc::SYS_kill, [pid, SIGNAL, 0, 0, 0, 0]),
        ("kill-group", libc::SYS_kill, [0, SIGNAL, 0, 0, 0, 0]),
        ("kill-self", libc::SYS_kill, [own(), SIGNAL, 0, 0, 0, 0]),
        ("tkill", libc::SYS_tkill, [pid, SIGNAL, 0, 0, 0, 0]),
        ("tgkill", libc::SYS_tgkill, [pid, pid, SIGNAL, 0, 0, 0]),
        (
            "sigqueue",
            libc::SYS_rt_sigqueueinfo,
            [pid, SIGNAL, info, 0, 0, 0],
        ),
        (
            "tgsigqueue",
            libc::SYS_rt_tgsigqueueinfo,
            [pid, pid, SIGNAL, info, 0, 0],
        ),
        ("pidfd-open", libc::SYS_pidfd_open, [pid, 0, 0, 0, 0, 0]),
        (
            "pidfd-send-signal",
            libc::SYS_pidfd_send_signal,
            [2, SIGNAL, 0, 0, 0, 0],
        ),
    ];
    for (name, number, arguments) in tries {
        attacks.refused(name, syscall(number, arguments));
    }
    // The kernel signals the owner of a descriptor when something comes.
    let owner = [libc::F_SETOWN.into(), pid];
    attacks.refused(
        "set-owner",
        syscall(libc::SYS_fcntl, [2, owner[0], owner[1], 0, 0, 0]),
    );
    for (name, request) in [
        ("ioctl-owner", 0x8901_i64),
        ("ioctl-async", 0x5452),
        ("ioctl-terminal-input", 0x5412),
        ("ioctl-terminal", 0x540e),
    ] {
        let value = i32::try_from(pid).unwrap_or(0);
        let call = [2, request, address(&value), 0, 0, 0];
        attacks.refused(name, syscall(libc::SYS_ioctl, call));
    }
}

fn memory(attacks: &mut Attacks, victim: &Victim) {
    let pid = i64::from(victim.pid);
    const SEIZE: i64 = 0x4206;
    attacks.refused(
        "ptrace",
        syscall(libc::SYS_ptrace, [SEIZE, pid, 0, 0, 0, 0]),
    );
    for (name, number) in [
        ("process-vm-readv", libc::SYS_process_vm_readv),
        ("process-vm-writev", libc::SYS_process_vm_writev),
        ("process-madvise", libc::SYS_process_madvise),
        ("pidfd-getfd", libc::SYS_pidfd_getfd),
        ("kcmp", libc::SYS_kcmp),
        ("move-pages", libc::SYS_move_pages),
        ("migrate-pages", libc::SYS_migrate_pages),
    ] {
        attacks.refused(name, syscall(number, [pid, 0, 0, 0, 0, 0]));
    }
    let of = |file: &str| Path::new("/proc").join(victim.pid.to_string()).join(file);
    for file in [
        "mem",
        "environ",
        "maps",
        "pagemap",
        "auxv",
        "fd/0",
        "root/etc/passwd",
    ] {
        let name = format!("read-daemon-{}", file.replace('/', "-"));
        attacks.refused(&name, open(&of(file), libc::O_RDONLY));
    }
    attacks.refused("write-daemon-mem", open(&of("mem"), libc::O_RDWR));
    attacks.refused(
        "write-daemon-oom",
        open(&of("oom_score_adj"), libc::O_WRONLY),
    );
    attacks.refused("list-daemon-cwd", list(&of("cwd")));
}

fn shares(attacks: &mut Attacks, pid: i64) {
    let limit = [4096_u64; 2];
    let parameter = 0_i32;
    let mask = [u64::MAX];
    let tries: [(&str, libc::c_long, [i64; 6]); 8] = [
        (
            "limit-daemon",
            libc::SYS_prlimit64,
            [pid, 7, address(&limit), 0, 0, 0],
        ),
        (
            "read-daemon-limit",
            libc::SYS_prlimit64,
            [pid, 7, 0, address(&limit), 0, 0],
        ),
        (
            "limit-self",
            libc::SYS_prlimit64,
            [0, 7, address(&limit), 0, 0, 0],
        ),
        (
            "setrlimit",
            libc::SYS_setrlimit,
            [7, address(&limit), 0, 0, 0, 0],
        ),
        (
            "schedule-daemon",
            libc::SYS_sched_setscheduler,
            [pid, 5, address(&parameter), 0, 0, 0],
        ),
        (
            "priority-daemon",
            libc::SYS_setpriority,
            [0, pid, 19, 0, 0, 0],
        ),
        (
            "affinity-daemon",
            libc::SYS_sched_setaffinity,
            [pid, 8, address(&mask), 0, 0, 0],
        ),
        (
            "io-priority-daemon",
            libc::SYS_ioprio_set,
            [1, pid, 3 << 13, 0, 0, 0],
        ),
    ];
    for (name, number, arguments) in tries {
        attacks.refused(name, syscall(number, arguments));
    }
}

fn births(attacks: &mut Attacks) {
    // A child that comes to be ends at once; it is the parent that tells.
    let child = |number: libc::c_long, flags: i64| {
        let born = syscall(number, [flags, 0, 0, 0, 0, 0]);
        if born == Ok(0) {
            let _ = syscall(libc::SYS_exit_group, [0; 6]);
        }
        born
    };
    let ends: i64 = libc::SIGCHLD.into();
    attacks.refused("clone", child(libc::SYS_clone, ends));
    let namespaces = i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) | ends;
    attacks.refused("clone-namespaces", child(libc::SYS_clone, namespaces));
    #[cfg(target_arch = "x86_64")]
    attacks.refused("fork", child(libc::SYS_fork, 0));
    // Said not to exist, so that the C library takes the other one.
    let arguments = [0_u64; 8];
    let call = [
        address(&arguments),
        size_of_val(&arguments) as i64,
        0,
        0,
        0,
        0,
    ];
    let born = syscall(libc::SYS_clone3, call);
    if born == Ok(0) {
        let _ = syscall(libc::SYS_exit_group, [0; 6]);
    }
    attacks.refused_with("clone3", &[Errno::ENOSYS], born);
    let program = c"/bin/true".to_owned();
    let path = program.as_ptr() as i64;
    // With a wrong vector of arguments, lest it replace this process where it is allowed.
    attacks.refused("execve", syscall(libc::SYS_execve, [path, 1, 0, 0, 0, 0]));
    let at = [libc::AT_FDCWD.into(), path, 1, 0, 0, 0];
    attacks.refused("execveat", syscall(libc::SYS_execveat, at));
    let by_descriptor = [2, c"".as_ptr() as i64, 1, 0, libc::AT_EMPTY_PATH.into(), 0];
    attacks.refused("fexecve", syscall(libc::SYS_execveat, by_descriptor));
}

fn identity(attacks: &mut Attacks) {
    for (name, number) in [
        ("setuid", libc::SYS_setuid),
        ("setresuid", libc::SYS_setresuid),
        ("setgid", libc::SYS_setgid),
        ("setgroups", libc::SYS_setgroups),
        ("capset", libc::SYS_capset),
        ("landlock", libc::SYS_landlock_create_ruleset),
        ("personality", libc::SYS_personality),
        ("setsid", libc::SYS_setsid),
        ("setpgid", libc::SYS_setpgid),
    ] {
        attacks.call(name, number);
    }
    // Of no operation that there is: the first is the one after which nothing works any more.
    attacks.refused("seccomp", syscall(libc::SYS_seccomp, [99, 0, 0, 0, 0, 0]));
    for (name, option) in [
        ("prctl-dumpable", libc::PR_SET_DUMPABLE),
        ("prctl-ptracer", libc::PR_SET_PTRACER),
        ("prctl-death-signal", libc::PR_SET_PDEATHSIG),
        ("prctl-memory", libc::PR_SET_MM),
        ("prctl-ambient", libc::PR_CAP_AMBIENT),
        ("prctl-securebits", libc::PR_SET_SECUREBITS),
        ("prctl-subreaper", libc::PR_SET_CHILD_SUBREAPER),
    ] {
        attacks.refused(
            name,
            syscall(libc::SYS_prctl, [option.into(), 0, 0, 0, 0, 0]),
        );
    }
}

fn own() -> i64 {
    std::process::id().into()
}
