//! The kernel itself: what gives power over the machine, and what exploits like to begin with. None
//! may be reached, whatever the arguments.

use nix::errno::Errno;

use crate::attack::{Attacks, syscall};

const CALLS: &[(&str, libc::c_long)] = &[
    ("mount", libc::SYS_mount),
    ("umount", libc::SYS_umount2),
    ("pivot-root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("open-tree", libc::SYS_open_tree),
    ("move-mount", libc::SYS_move_mount),
    ("fsopen", libc::SYS_fsopen),
    ("fsmount", libc::SYS_fsmount),
    ("setns", libc::SYS_setns),
    ("bpf", libc::SYS_bpf),
    ("perf-event-open", libc::SYS_perf_event_open),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("io-uring-setup", libc::SYS_io_uring_setup),
    ("io-uring-enter", libc::SYS_io_uring_enter),
    ("io-setup", libc::SYS_io_setup),
    ("keyctl", libc::SYS_keyctl),
    ("add-key", libc::SYS_add_key),
    ("request-key", libc::SYS_request_key),
    ("init-module", libc::SYS_init_module),
    ("finit-module", libc::SYS_finit_module),
    ("delete-module", libc::SYS_delete_module),
    ("kexec-load", libc::SYS_kexec_load),
    ("reboot", libc::SYS_reboot),
    ("swapon", libc::SYS_swapon),
    ("syslog", libc::SYS_syslog),
    ("acct", libc::SYS_acct),
    ("quotactl", libc::SYS_quotactl),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock-settime", libc::SYS_clock_settime),
    ("adjtimex", libc::SYS_adjtimex),
    ("sethostname", libc::SYS_sethostname),
    ("shmget", libc::SYS_shmget),
    ("msgget", libc::SYS_msgget),
    ("semget", libc::SYS_semget),
    ("mq-open", libc::SYS_mq_open),
    ("timer-create", libc::SYS_timer_create),
    ("timerfd", libc::SYS_timerfd_create),
    ("signalfd", libc::SYS_signalfd4),
    ("vmsplice", libc::SYS_vmsplice),
    ("mlock", libc::SYS_mlock),
    ("mlockall", libc::SYS_mlockall),
    ("remap-file-pages", libc::SYS_remap_file_pages),
    ("memfd-secret", libc::SYS_memfd_secret),
    ("pkey-alloc", libc::SYS_pkey_alloc),
];

#[cfg(target_arch = "x86_64")]
const CALLS_HERE: &[(&str, libc::c_long)] = &[
    ("modify-ldt", libc::SYS_modify_ldt),
    ("arch-prctl", libc::SYS_arch_prctl),
    ("iopl", libc::SYS_iopl),
    ("ioperm", libc::SYS_ioperm),
];
#[cfg(not(target_arch = "x86_64"))]
const CALLS_HERE: &[(&str, libc::c_long)] = &[];

pub(crate) fn attack(attacks: &mut Attacks) {
    for (name, number) in CALLS.iter().chain(CALLS_HERE) {
        attacks.call(name, *number);
    }
    // Last: where it succeeds, it takes away what the others need.
    let user = i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    attacks.refused("unshare", syscall(libc::SYS_unshare, [user, 0, 0, 0, 0, 0]));
}

/// Calls by the numbers of another architecture, which a filter may have forgotten. Whoever tries
/// these may be killed for it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn attack_as_another_architecture(attacks: &mut Attacks) {
    attacks.refused("x32-ptrace", syscall(0x4000_0000 | 521, [0; 6]));
    attacks.flush();
    const SOCKET: i64 = 359;
    let result: i64;
    // SAFETY: a system call without pointers, which changes no register but the one of its result.
    unsafe {
        std::arch::asm!(
            "xchg rsi, rbx", "int 0x80", "xchg rsi, rbx",
            inlateout("rax") SOCKET => result,
            inout("rsi") i64::from(libc::AF_NETLINK) => _,
            in("rcx") i64::from(libc::SOCK_RAW),
            in("rdx") 0_i64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    attacks.refused::<()>("ia32-socket", Err(Errno::from_raw((-result) as i32)));
    attacks.flush();
}
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn attack_as_another_architecture(_: &mut Attacks) {}
