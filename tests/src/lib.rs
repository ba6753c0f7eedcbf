//! The lab: hosts as network namespaces on one Ethernet, with real daemons, and what observes them.
//!
//! A [`lab::Host`] has namespaces of its own for network, processes, mounts and host name, so that
//! "is nginx running" means "on this host". Everything lives as long as the value that stands for
//! it, and the kernel clears up even when a test is killed. A [`node::Node`] is a host with a
//! daemon, ours or keepalived: scenarios take the implementation as a parameter, so that keepalived
//! against keepalived tells whether the lab itself is right.

pub mod capture;
pub mod client;
pub mod compromised;
pub mod forge;
mod keepalived;
pub mod lab;
pub mod mainstay;
mod namespace;
pub mod nginx;
pub mod node;
pub mod probe;
pub mod process;
pub mod skip;
pub mod stall;
pub mod systemd;
pub mod wait;
pub mod watch;
