//! What a host sees on the wire: VRRP advertisements and ARP, with the kernel's time stamps.

use std::collections::BTreeSet;
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use etherparse::{NetSlice, SlicedPacket};
use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::Host;

/// `ETH_P_ALL` in network byte order, as a packet socket takes it.
const EVERY_PROTOCOL: i32 = 0x0003_u16.to_be() as i32;

/// How long a receive waits before it looks whether the capture is over.
const TICK: Duration = Duration::from_millis(50);

/// An advertisement that was on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advertisement {
    /// When the kernel received it, since the Unix epoch.
    pub at: Duration,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// 2 or 3.
    pub version: u8,
    /// VRID.
    pub id: u8,
    /// Priority; 0 when the sender stops.
    pub priority: u8,
}

/// A gratuitous ARP: a sender tells everybody of its own address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gratuitous {
    /// When the kernel received it, since the Unix epoch.
    pub at: Duration,
    /// The address.
    pub address: Ipv4Addr,
    /// Where it is now.
    pub mac: [u8; 6],
}

/// Everything seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// VRRP, in order.
    pub advertisements: Vec<Advertisement>,
    /// ARP, in order.
    pub gratuitous: Vec<Gratuitous>,
}

impl Seen {
    /// The advertisements of one sender.
    pub fn from(&self, source: Ipv4Addr) -> Vec<Advertisement> {
        self.advertisements
            .iter()
            .filter(|seen| seen.source == source)
            .copied()
            .collect()
    }

    /// Who advertised with a priority above 0.
    pub fn senders(&self) -> BTreeSet<Ipv4Addr> {
        self.advertisements
            .iter()
            .filter(|seen| seen.priority > 0)
            .map(|seen| seen.source)
            .collect()
    }
}

/// The longest time from one advertisement to the next; zero when there are fewer than two.
pub fn longest_gap(advertisements: &[Advertisement]) -> Duration {
    advertisements
        .windows(2)
        .map(|pair| pair[1].at.saturating_sub(pair[0].at))
        .max()
        .unwrap_or_default()
}

/// A running capture; ends when dropped.
pub struct Capture {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Begins to capture on a host.
    ///
    /// # Errors
    /// When the packet socket is refused.
    pub fn on(host: &Host) -> Result<Self> {
        let socket = host.enter(|| {
            let socket = Socket::new(
                Domain::PACKET,
                Type::RAW,
                Some(Protocol::from(EVERY_PROTOCOL)),
            )?;
            socket.set_recv_buffer_size(8 << 20)?;
            socket.set_read_timeout(Some(TICK))?;
            setsockopt(&socket, ReceiveTimestampns, &true)?;
            Ok(socket)
        })?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (seen, over) = (Arc::clone(&seen), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    if let Err(error) = receive(&socket, &seen) {
                        eprintln!("capture ends: {error:#}");
                        break;
                    }
                }
            }
        });
        Ok(Self {
            seen,
            over,
            thread: Some(thread),
        })
    }

    /// What has been seen so far.
    pub fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Forgets what has been seen so far.
    pub fn clear(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes one frame from the socket, if one comes within its timeout.
fn receive(socket: &Socket, seen: &Mutex<Seen>) -> Result<()> {
    let mut frame = [0; 2048];
    let mut parts = [IoSliceMut::new(&mut frame)];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let message = match recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::empty(),
    ) {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let at = message
        .cmsgs()?
        .find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
            _ => None,
        })
        .context("a frame without time stamp")?;
    let length = message.bytes;
    record(
        &frame[..length],
        at,
        &mut seen.lock().unwrap_or_else(PoisonError::into_inner),
    );
    Ok(())
}

/// Notes what a frame was, when it is of interest.
fn record(frame: &[u8], at: Duration, seen: &mut Seen) {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return;
    };
    match packet.net {
        Some(NetSlice::Ipv4(ip)) if ip.header().protocol().0 == 112 => {
            if let [version, id, priority, ..] = *ip.payload().payload {
                seen.advertisements.push(Advertisement {
                    at,
                    source: ip.header().source_addr(),
                    version: version >> 4,
                    id,
                    priority,
                });
            }
        }
        Some(NetSlice::Arp(arp)) if arp.sender_protocol_addr() == arp.target_protocol_addr() => {
            if let (Ok(mac), Ok(address)) = (
                <[u8; 6]>::try_from(arp.sender_hw_addr()),
                <[u8; 4]>::try_from(arp.sender_protocol_addr()),
            ) {
                seen.gratuitous.push(Gratuitous {
                    at,
                    address: address.into(),
                    mac,
                });
            }
        }
        _ => {}
    }
}
