//! Every change of a host's addresses, as the kernel tells it.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::lab::Host;
use crate::wait::{self, SOON};

/// An address that nobody else uses: its coming and going shows that the watch has begun.
const SIGN: &str = "127.255.255.254/32";

/// A change of an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// When it was read here, a moment after it happened; since the Unix epoch.
    pub at: Duration,
    /// Whether the address is there now.
    pub added: bool,
    /// The kernel's message as `ip` writes it.
    pub text: String,
}

/// A running watch; ends when dropped.
pub struct AddressWatch {
    monitor: Child,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl AddressWatch {
    /// Begins to watch; everything that changes after this has returned is seen.
    ///
    /// # Errors
    /// When `ip monitor` does not work.
    pub fn on(host: &Host) -> Result<Self> {
        let mut monitor = host.enter(|| {
            Command::new("ip")
                .args(["-4", "-o", "monitor", "address"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .context("ip does not start")
        })?;
        let lines = BufReader::new(monitor.stdout.take().context("ip without output")?).lines();
        let changes = Arc::new(Mutex::new(Vec::new()));
        thread::spawn({
            let changes = Arc::clone(&changes);
            move || {
                for text in lines.map_while(Result::ok) {
                    let at = now();
                    let added = !text.starts_with("Deleted");
                    let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                    changes.push(Change { at, added, text });
                }
            }
        });
        let watch = Self { monitor, changes };
        wait::until_true(SOON, "ip monitor sees a change", || {
            host.ip(&format!("addr add {SIGN} dev lo"))?;
            host.ip(&format!("addr del {SIGN} dev lo"))?;
            Ok(!watch.all().is_empty())
        })?;
        Ok(watch)
    }

    /// The changes of an address so far, in order.
    pub fn of(&self, address: Ipv4Addr) -> Vec<Change> {
        let part = format!(" {address}/");
        self.all()
            .into_iter()
            .filter(|change| change.text.contains(&part))
            .collect()
    }

    fn all(&self) -> Vec<Change> {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

/// The time of day as captures have it, since the Unix epoch.
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
