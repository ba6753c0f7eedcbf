//! What Mainstay does to Linux, and what Linux tells it: raw sockets for VRRP, packet sockets for
//! gratuitous ARP, ICMP echoes, addresses and links over route netlink, the clocks.
//!
//! It has unsafe code only where no safe interface exists. Nothing
//! here decides anything: notifications become [`Input`](mainstay_core::input::Input)s, and what
//! the engine asks for is done and answered.

mod bpf;
pub mod clock;
pub mod echo;
pub mod frame_socket;
pub mod identity;
mod ipv4;
pub mod route;
mod vrid_filter;
pub mod vrrp_socket;

#[cfg(test)]
mod lab;
