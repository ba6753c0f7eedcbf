//! The confinement of this process, put on before anything of a plugin is compiled or run.
//!
//! Whoever breaks out of a component finds a process without capabilities that can neither gain
//! any nor start another program, open anything but `/proc` and the granted pid files, signal
//! anyone, or make a socket that is not TCP or UDP.
//!
//! All of it holds per thread and is inherited: [`enter`] must run while there is only one.

mod filesystem;
mod privileges;
mod syscalls;

use std::path::PathBuf;

/// Puts the confinement on, for the rest of the process's life.
///
/// `pid_files` are the files that plugins were granted; what lies beside them becomes readable
/// too, because a service replaces its pid file by a new one. `data` is the memory that the process
/// may have for data, in bytes.
///
/// Returns what the system refused but the worker can do without, in words: an older kernel has
/// no Landlock, and in a user namespace there may be no other user to become.
///
/// # Errors
/// [`SandboxError`] when capabilities, `no_new_privs`, limits or the filter of system calls cannot
/// be put on. The worker must not go on then.
pub(crate) fn enter(pid_files: &[PathBuf], data: u64) -> Result<Vec<String>, SandboxError> {
    let mut missing = Vec::new();
    privileges::limit(data)?;
    missing.extend(privileges::go_before_the_daemon());
    missing.extend(privileges::drop_all()?);
    missing.extend(filesystem::restrict(pid_files));
    syscalls::filter(true)?;
    Ok(missing)
}

/// As [`enter`], for a process that compiles: no file, no socket, and the least of the machine's
/// memory and time.
///
/// # Errors
/// As [`enter`].
pub(crate) fn enter_to_compile() -> Result<Vec<String>, SandboxError> {
    let mut missing = Vec::new();
    privileges::limit_compiler()?;
    missing.extend(privileges::go_before_the_daemon());
    missing.extend(privileges::drop_all()?);
    missing.extend(filesystem::close());
    syscalls::filter(false)?;
    Ok(missing)
}

/// Why the confinement could not be put on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A system call failed.
    #[error("cannot {0}")]
    Refused(&'static str, #[source] std::io::Error),
    /// The filter of system calls could not be built or installed.
    #[error("cannot filter system calls")]
    Filter(#[from] seccompiler::Error),
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use rustix::net::{AddressFamily, SocketType, socket};
    use rustix::process::{Pid, Signal, getppid, kill_process, test_kill_process};

    use super::*;

    const DATA: u64 = 1 << 30;

    /// Runs on a thread that is confined, while the rest of the test's process is not.
    fn confined<T: Send + 'static>(test: impl FnOnce(&[String]) -> T + Send + 'static) -> T {
        std::thread::spawn(move || test(&enter(&[], DATA).unwrap()))
            .join()
            .unwrap()
    }

    /// Says that a test is left out, and notes it in the file that `MAINSTAY_SKIPS` names.
    fn skipped(test: &str, why: &str) {
        eprintln!("SKIP {test}: {why}");
        if let Some(path) = std::env::var_os("MAINSTAY_SKIPS") {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            writeln!(file, "{test}: {why}").unwrap();
        }
    }

    #[test]
    fn only_internet_sockets_can_be_made() {
        confined(|_| {
            for family in [
                AddressFamily::UNIX,
                AddressFamily::NETLINK,
                AddressFamily::PACKET,
                AddressFamily::VSOCK,
            ] {
                for kind in [SocketType::STREAM, SocketType::DGRAM, SocketType::RAW] {
                    let refused = socket(family, kind, None).unwrap_err();
                    assert_eq!(refused, rustix::io::Errno::PERM, "{family:?} {kind:?}");
                }
            }
            for family in [AddressFamily::INET, AddressFamily::INET6] {
                socket(family, SocketType::RAW, None).unwrap_err();
                socket(family, SocketType::STREAM, None).unwrap();
                socket(family, SocketType::DGRAM, None).unwrap();
            }
        });
    }

    /// For this the test needs a process of its own, since limits hold for all threads.
    #[test]
    fn a_compiler_opens_no_file_and_makes_no_socket() {
        let compiler = std::thread::spawn(|| {
            let missing = enter_to_compile().unwrap();
            let refused = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap_err();
            assert_eq!(refused, rustix::io::Errno::PERM);
            if let Some(why) = missing.iter().find(|text| text.contains("Landlock")) {
                skipped("a_compiler_opens_no_file_and_makes_no_socket", why);
                return;
            }
            let refused = File::open("/proc/self/stat").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        });
        compiler.join().unwrap();
    }

    #[test]
    fn it_can_connect_but_not_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        confined(move |_| {
            TcpStream::connect(address)
                .unwrap()
                .write_all(b"x")
                .unwrap();
            let refused = TcpListener::bind("127.0.0.1:0").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        });
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    }

    #[test]
    fn no_program_can_be_started_and_nobody_signalled() {
        confined(|_| {
            let refused = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
            let parent = getppid().unwrap();
            assert!(test_kill_process(parent).is_err());
            assert!(kill_process(Pid::INIT, Signal::USR1).is_err());
        });
    }

    #[test]
    #[expect(unsafe_code, reason = "nobody wraps F_SETOWN")]
    fn a_descriptor_has_no_owner_to_be_signalled() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let set_owner = |stream: &UnixStream| {
            let init = 1;
            // SAFETY: passes no pointer, and the descriptor is open.
            let result = unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_SETOWN, init) };
            if result == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        };
        set_owner(&ours).unwrap();
        confined(move |_| {
            let refused = set_owner(&ours).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
            ours.try_clone().unwrap();
            ours.set_nonblocking(true).unwrap();
        });
    }

    #[test]
    fn the_way_back_is_closed() {
        confined(|_| {
            rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).unwrap_err();
            rustix::process::setpriority_process(None, -1).unwrap_err();
            rustix::process::chroot("/tmp").unwrap_err();
            let more = rustix::process::Rlimit {
                current: Some(4096),
                maximum: Some(4096),
            };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, more).unwrap_err();
        });
    }

    #[test]
    fn memory_ends_at_the_limit() {
        confined(|_| {
            let most = usize::try_from(DATA).unwrap();
            assert!(Vec::<u8>::new().try_reserve_exact(most).is_err());
            assert!(Vec::<u8>::new().try_reserve_exact(most / 4).is_ok());
        });
    }

    #[test]
    fn threads_still_start_and_time_still_passes() {
        confined(|_| {
            let thread = std::thread::spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                // It is confined as well.
                Command::new("/bin/true").spawn().is_err()
            });
            assert!(thread.join().unwrap());
        });
    }

    #[test]
    fn only_proc_and_granted_pid_files_can_be_read() {
        let granted = tempfile::tempdir().unwrap();
        let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(granted.path(), open).unwrap();
        let pid_file = granted.path().join("service.pid");
        let files = [pid_file.clone()];
        std::thread::spawn(move || {
            let missing = enter(&files, DATA).unwrap();
            if let Some(why) = missing.iter().find(|text| text.contains("Landlock")) {
                skipped("only_proc_and_granted_pid_files_can_be_read", why);
                return;
            }
            File::open("/proc/self/stat").unwrap();
            for closed in ["/etc/passwd", "/", "/sys"] {
                let refused = File::open(closed).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{closed}");
            }
            assert!(File::create(&pid_file).is_err());
            assert_eq!(
                File::open(&pid_file).unwrap_err().kind(),
                ErrorKind::NotFound
            );
        })
        .join()
        .unwrap();
    }
}
