//! What the daemon tells systemd (`sd_notify(3)`), over a socket that never blocks.
//!
//! A notification that doesn't fit into systemd's queue is lost rather than waited for: the engine
//! thread feeds the watchdog, and must not stand still because systemd does.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager. Cheap to clone, usable from every thread.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    socket: Arc<UnixDatagram>,
    address: Arc<SocketAddr>,
}

impl Notifier {
    /// The notifier that the environment names (`NOTIFY_SOCKET`); `None` without a service manager.
    ///
    /// # Errors
    /// An address that is neither an absolute path nor abstract, or no socket to be had.
    pub(crate) fn from_env() -> io::Result<Option<Self>> {
        env::var_os("NOTIFY_SOCKET")
            .map(|name| Self::to(&name))
            .transpose()
    }

    /// A notifier to this address: an absolute path, or an abstract name after `@`.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub(crate) fn to(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "NOTIFY_SOCKET is neither an absolute path nor an abstract name",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Arc::new(socket),
            address: Arc::new(address),
        })
    }

    /// The start, or a reload, is complete; `status` is shown by `systemctl status`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when systemd doesn't read, and whatever the socket reports.
    pub(crate) fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)))
    }

    /// A reload begins; [`Self::ready`] ends it. Carries the time that `Type=notify-reload` asks
    /// for.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub(crate) fn reloading(&self) -> io::Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
    }

    /// The daemon is going to end.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub(crate) fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    /// The engine is alive. To be called by the engine thread and nobody else.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub(crate) fn watchdog(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket
            .send_to_addr(message.as_bytes(), &self.address)
            .map(drop)
    }
}

/// How often [`Notifier::watchdog`] has to be called: half of what systemd waits (`WATCHDOG_USEC`,
/// when `WATCHDOG_PID` is absent or this process).
pub(crate) fn watchdog_interval() -> Option<Duration> {
    interval_from(
        env::var_os("WATCHDOG_USEC"),
        env::var_os("WATCHDOG_PID"),
        process::id(),
    )
}

fn interval_from(usec: Option<OsString>, pid: Option<OsString>, own: u32) -> Option<Duration> {
    if let Some(pid) = pid
        && pid.to_str()?.parse() != Ok(own)
    {
        return None;
    }
    let limit = usec?.to_str()?.parse().ok().filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(limit) / 2)
}

/// A line feed in a status would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_reads_what_was_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();

        notifier.ready("2 routers\nWATCHDOG=1").unwrap();
        assert_eq!(received(&manager), "READY=1\nSTATUS=2 routers WATCHDOG=1");
        notifier.watchdog().unwrap();
        assert_eq!(received(&manager), "WATCHDOG=1");
        notifier.stopping().unwrap();
        assert_eq!(received(&manager), "STOPPING=1");
        notifier.reloading().unwrap();
        let message = received(&manager);
        let stamp = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(stamp.unwrap().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn an_abstract_name_is_reached() {
        let name = format!("mainstay-test-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();
        notifier.stopping().unwrap();
        assert_eq!(received(&manager), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_reads_nothing_costs_an_error_and_no_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        let full = (0..100_000).find_map(|_| notifier.watchdog().err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_address_of_another_kind_is_refused() {
        let error = Notifier::to(OsStr::new("vsock:2:1234")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let interval = |usec: Option<&str>, pid: Option<&str>| {
            interval_from(usec.map(Into::into), pid.map(Into::into), 7)
        };
        assert_eq!(
            interval(Some("2000000"), Some("7")),
            Some(Duration::from_secs(1))
        );
        assert_eq!(
            interval(Some("2000000"), None),
            Some(Duration::from_secs(1))
        );
        assert_eq!(interval(Some("2000000"), Some("8")), None);
        assert_eq!(interval(Some("0"), None), None);
        assert_eq!(interval(Some("soon"), None), None);
        assert_eq!(interval(None, None), None);
    }
}
