//! Files: the daemon's, the machine's, and the ways round a path.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mainstay_lab::compromised::Victim;
use nix::errno::Errno;

use crate::attack::{Attacks, syscall};

pub(crate) fn attack(attacks: &mut Attacks, victim: &Victim) {
    let reads = [
        ("configuration", victim.configuration.clone()),
        ("manifest", victim.state.join("manifest.json")),
        ("cache-key", victim.state.join("code-key")),
        ("control-socket", victim.runtime.join("control.sock")),
        ("resume-page", victim.runtime.join("resume")),
        ("passwd", "/etc/passwd".into()),
        ("shadow", "/etc/shadow".into()),
        ("null", "/dev/null".into()),
        ("random", "/dev/urandom".into()),
        ("terminal", "/dev/ptmx".into()),
        ("passwd-by-own-root", "/proc/self/root/etc/passwd".into()),
        (
            "passwd-by-own-directory",
            "/proc/self/cwd/etc/passwd".into(),
        ),
        ("passwd-of-init", "/proc/1/root/etc/passwd".into()),
        ("own-program", "/proc/self/exe".into()),
        (
            "sysfs",
            "/sys/kernel/mm/transparent_hugepage/enabled".into(),
        ),
    ];
    for (name, path) in reads {
        attacks.refused(&format!("read-{name}"), open(&path, libc::O_RDONLY));
    }
    for (name, path) in [
        ("state", &victim.state),
        ("cache", &victim.cache),
        ("runtime", &victim.runtime),
        ("root", &PathBuf::from("/")),
        ("tmp", &PathBuf::from("/tmp")),
        ("dev", &PathBuf::from("/dev")),
    ] {
        attacks.refused(&format!("list-{name}"), list(path));
    }
    let writes = [
        ("own-memory", "/proc/self/mem"),
        ("own-oom-score", "/proc/self/oom_score_adj"),
        ("own-name", "/proc/self/comm"),
        ("core-pattern", "/proc/sys/kernel/core_pattern"),
        ("uid-map", "/proc/self/uid_map"),
        ("tmp", "/tmp/mainstay-compromised"),
        ("shared-memory", "/dev/shm/mainstay-compromised"),
    ];
    for (name, path) in writes {
        let flags = match path.starts_with("/proc") {
            true => libc::O_WRONLY,
            false => libc::O_WRONLY | libc::O_CREAT,
        };
        let result = open(Path::new(path), flags);
        if result.is_ok() && flags & libc::O_CREAT != 0 {
            let _ = std::fs::remove_file(path);
        }
        attacks.refused(&format!("write-{name}"), result);
    }
    let entry = victim.cache.join("forged");
    let forged = open(&entry, libc::O_WRONLY | libc::O_CREAT);
    if forged.is_ok() {
        let _ = std::fs::remove_file(&entry);
    }
    attacks.refused("write-cache", forged);
    for (name, number) in [
        ("openat2", libc::SYS_openat2),
        ("open-by-handle", libc::SYS_open_by_handle_at),
        ("name-to-handle", libc::SYS_name_to_handle_at),
        ("truncate", libc::SYS_truncate),
        ("ftruncate", libc::SYS_ftruncate),
        ("fallocate", libc::SYS_fallocate),
        ("unlink", libc::SYS_unlinkat),
        ("rename", libc::SYS_renameat2),
        ("link", libc::SYS_linkat),
        ("symlink", libc::SYS_symlinkat),
        ("mkdir", libc::SYS_mkdirat),
        ("mknod", libc::SYS_mknodat),
        ("chmod", libc::SYS_fchmodat),
        ("chown", libc::SYS_fchownat),
        ("utime", libc::SYS_utimensat),
        ("setxattr", libc::SYS_setxattr),
        ("chdir", libc::SYS_chdir),
        ("flock", libc::SYS_flock),
        ("inotify", libc::SYS_inotify_init1),
        ("fanotify", libc::SYS_fanotify_init),
        ("pipe", libc::SYS_pipe2),
        ("splice", libc::SYS_splice),
        ("sendfile", libc::SYS_sendfile),
        ("copy-file-range", libc::SYS_copy_file_range),
    ] {
        attacks.call(name, number);
    }
}

/// Opens a file, and closes it again.
pub(crate) fn open(path: &Path, flags: i32) -> Result<i64, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let at = [
        libc::AT_FDCWD.into(),
        path.as_ptr() as i64,
        flags.into(),
        0o600,
        0,
        0,
    ];
    let descriptor = syscall(libc::SYS_openat, at)?;
    let _ = syscall(libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]);
    Ok(descriptor)
}

/// Opens a directory to list it.
pub(crate) fn list(path: &Path) -> Result<i64, Errno> {
    open(path, libc::O_RDONLY | libc::O_DIRECTORY)
}
