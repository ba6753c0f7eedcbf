//! Packets, read and written without panicking whatever the bytes are.
//!
//! | module | what it knows |
//! |---|---|
//! | [`vrrp`] | advertisements of VRRP version 2 and 3 over IPv4 |
//! | [`arp`] | the gratuitous ARP request |
//! | [`checksum`] | the internet checksum |
//! | [`Reject`] | why a received packet is not believed |

pub mod arp;
pub mod checksum;
mod reject;
pub mod vrrp;

pub use reject::Reject;
