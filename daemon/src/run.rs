//! The running daemon: the engine on a thread of its own, and everything around it.
//!
//! ```text
//!  engine thread (engine, sockets)              shell thread (shell, Tokio)
//!    VRRP sockets ──► Engine ──► VRRP, ARP        route netlink, worker, hooks,
//!         watchdog ◄──┘  │  ▲                     control socket, signals
//!                        │  └──── Mailbox ◄────────────┘  ▲
//!                        └──────── transitions, notices ──┘
//! ```
//!
//! The engine thread never waits for the other: what it sends goes into bounded queues, and what
//! does not fit is merged or counted.

mod crowd;
mod engine;
mod mailbox;
mod outlets;
mod reload;
mod shell;
mod sockets;

pub(crate) use shell::{RunOptions, run};
