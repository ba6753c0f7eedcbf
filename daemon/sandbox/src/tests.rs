//! Each test confines a thread of its own, while the rest of the process is not.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use mainstay_skips::skip;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use rustix::process::{Pid, Signal, getppid, kill_process, test_kill_process};

use super::*;

const DATA: u64 = 1 << 30;

/// Runs on a thread that is confined, while the rest of the test's process is not.
fn confined<T: Send + 'static>(test: impl FnOnce(&[String]) -> T + Send + 'static) -> T {
    std::thread::spawn(move || test(&enter(&Granted::default(), DATA).unwrap()))
        .join()
        .unwrap()
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
                assert_eq!(refused, Errno::PERM, "{family:?} {kind:?}");
            }
        }
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            socket(family, SocketType::RAW, None).unwrap_err();
            for (kind, own) in [
                (SocketType::STREAM, ipproto::TCP),
                (SocketType::DGRAM, ipproto::UDP),
            ] {
                socket(family, kind, None).unwrap();
                socket(family, kind, Some(own)).unwrap();
                for other in [ipproto::ICMP, ipproto::MPTCP, ipproto::SCTP] {
                    let refused = socket(family, kind, Some(other)).unwrap_err();
                    assert_eq!(refused, Errno::PERM, "{family:?} {kind:?} {other:?}");
                }
            }
        }
    });
}

/// For this the test needs a process of its own, since limits hold for all threads.
#[test]
fn a_compiler_opens_no_file_and_makes_no_socket() {
    let compiler = std::thread::spawn(|| {
        let missing = enter_to_compile().unwrap();
        let refused = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap_err();
        assert_eq!(refused, Errno::PERM);
        if let Some(why) = missing.iter().find(|text| text.contains("Landlock")) {
            skip("a_compiler_opens_no_file_and_makes_no_socket", why);
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
    let parent = getppid().unwrap();
    confined(move |_| {
        let refused = Command::new("/bin/true").spawn().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
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
            current: Some(8192),
            maximum: Some(8192),
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, more).unwrap_err();
    });
}

/// It would hold what plugins know.
#[test]
fn no_core_is_dumped() {
    confined(|_| {
        let core = rustix::process::getrlimit(rustix::process::Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
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

/// Neither files in memory nor these mappings are data to the kernel, which is what is limited.
#[test]
#[expect(
    unsafe_code,
    reason = "a mapping may be one of memory in use; these are not"
)]
fn memory_that_no_limit_counts_is_refused() {
    confined(|_| {
        let refused = memfd_create("test", MemfdFlags::CLOEXEC).unwrap_err();
        assert_eq!(refused, Errno::PERM);
        let map = |flags| {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: at an address that the kernel chooses, where nothing is.
            unsafe { mmap_anonymous(std::ptr::null_mut(), 1 << 16, access, flags) }
        };
        for flags in [
            MapFlags::SHARED,
            MapFlags::SHARED_VALIDATE,
            MapFlags::PRIVATE | MapFlags::GROWSDOWN,
        ] {
            assert_eq!(map(flags).unwrap_err(), Errno::PERM, "{flags:?}");
        }
        map(MapFlags::PRIVATE | MapFlags::STACK).unwrap();
    });
}

#[test]
fn threads_still_start_and_time_still_passes() {
    confined(|_| {
        let thread = std::thread::spawn(|| {
            // Panics when the system call is refused.
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
    let left = Granted {
        pid_files: vec![pid_file.clone()],
        ..Granted::default()
    };
    std::thread::spawn(move || {
        let missing = enter(&left, DATA).unwrap();
        if let Some(why) = missing.iter().find(|text| text.contains("Landlock")) {
            skip("only_proc_and_granted_pid_files_can_be_read", why);
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

/// Threat 23, from the kernel's side: what a granted directory opens is what is in it, whichever way
/// a path takes.
#[test]
fn t23_a_granted_directory_opens_nothing_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(place.path(), open.clone()).unwrap();
    let granted = place.path().join("granted");
    fs::create_dir_all(granted.join("below")).unwrap();
    for directory in [&granted, &granted.join("below")] {
        fs::set_permissions(directory, open.clone()).unwrap();
    }
    fs::write(granted.join("below/file"), "inside").unwrap();
    fs::write(place.path().join("secret"), "outside").unwrap();
    for writable in [granted.join("below/file"), place.path().join("secret")] {
        fs::set_permissions(writable, fs::Permissions::from_mode(0o666)).unwrap();
    }
    std::os::unix::fs::symlink("../secret", granted.join("link")).unwrap();
    std::os::unix::fs::symlink("..", granted.join("up")).unwrap();
    let left = Granted {
        directories: vec![granted.clone()],
        ..Granted::default()
    };
    std::thread::spawn(move || {
        let missing = enter(&left, DATA).unwrap();
        if let Some(why) = missing.iter().find(|text| text.contains("Landlock")) {
            skip("t23_a_granted_directory_opens_nothing_beside_it", why);
            return;
        }
        let inside = granted.join("below/file");
        assert_eq!(fs::read(&inside).unwrap(), b"inside");
        assert_eq!(fs::read_dir(&granted).unwrap().count(), 3);
        for way in ["../secret", "link", "up/secret", "below/../../secret"] {
            let refused = File::open(granted.join(way)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{way}");
        }
        for way in ["..", "up", "up/", "below/../.."] {
            let refused = fs::read_dir(granted.join(way)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{way}");
        }
        assert!(File::options().write(true).open(&inside).is_err());
        assert!(File::create(&inside).is_err(), "truncated");
        assert!(File::create(granted.join("new")).is_err());
        assert!(fs::hard_link(&inside, granted.join("hard")).is_err());
        assert!(fs::rename(&inside, granted.join("moved")).is_err());
        assert!(fs::remove_file(&inside).is_err());
        assert!(fs::create_dir(granted.join("made")).is_err());
        assert!(std::os::unix::fs::symlink("x", granted.join("s")).is_err());
        assert_eq!(fs::read(&inside).unwrap(), b"inside");
    })
    .join()
    .unwrap();
}

/// WASI's datagram sockets are bound before they send; a port to listen on is none of theirs.
#[test]
fn who_is_granted_sockets_binds_those_for_datagrams() {
    let left = Granted {
        sockets: true,
        ..Granted::default()
    };
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    std::thread::spawn(move || {
        enter(&left, DATA).unwrap();
        std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let refused = TcpListener::bind("127.0.0.1:0").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    })
    .join()
    .unwrap();
    confined(|_| {
        let refused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    });
}
