//! What plugins may send and receive.

mod connection;
mod daemon;
mod exhaustion;
mod peers;
mod permission;
mod tls;
mod udp;
