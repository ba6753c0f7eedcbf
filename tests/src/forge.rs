//! Advertisements that no honest router sends, and the socket to send them.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::Result;
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::Host;

/// Where advertisements go (RFC 9568 section 5.1.1.2).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// VRRP's protocol number.
const PROTOCOL: u8 = 112;

/// An advertisement of version 3 in all its fields, right or wrong; see RFC 9568 section 5.1.
#[derive(Clone, Debug)]
pub struct Forged {
    /// Version, 4 bits.
    pub version: u8,
    /// Type, 4 bits; 1 is an advertisement.
    pub kind: u8,
    /// VRID.
    pub id: u8,
    /// Priority.
    pub priority: u8,
    /// The count that is claimed.
    pub count: u8,
    /// Interval: version 3 in centiseconds, 12 bits; version 2 has the authentication type in the
    /// high byte and seconds in the low one.
    pub interval: u16,
    /// The addresses that follow.
    pub addresses: Vec<Ipv4Addr>,
    /// The password that ends an advertisement of version 2.
    pub password: Option<[u8; 8]>,
    /// Added to the right checksum.
    pub checksum_error: u16,
}

impl Forged {
    /// A valid one of version 3, over whose pseudo-header [`Self::bytes`] computes the checksum.
    pub fn version_3(id: u8, priority: u8, centiseconds: u16, address: Ipv4Addr) -> Self {
        Self {
            version: 3,
            kind: 1,
            id,
            priority,
            count: 1,
            interval: centiseconds,
            addresses: vec![address],
            password: None,
            checksum_error: 0,
        }
    }

    /// A valid one of version 2.
    pub fn version_2(id: u8, priority: u8, seconds: u8, password: &str, address: Ipv4Addr) -> Self {
        let mut padded = [0; 8];
        padded[..password.len()].copy_from_slice(password.as_bytes());
        Self {
            version: 2,
            interval: 0x0100 | u16::from(seconds),
            password: Some(padded),
            ..Self::version_3(id, priority, 0, address)
        }
    }

    /// Its bytes, as a packet from `source`.
    pub fn bytes(&self, source: Ipv4Addr) -> Vec<u8> {
        let mut bytes = vec![
            self.version << 4 | self.kind,
            self.id,
            self.priority,
            self.count,
        ];
        bytes.extend(self.interval.to_be_bytes());
        bytes.extend([0, 0]);
        for address in &self.addresses {
            bytes.extend(address.octets());
        }
        if let Some(password) = self.password {
            bytes.extend(password);
        }
        let mut covered = Vec::new();
        if self.version == 3 {
            covered.extend(source.octets());
            covered.extend(GROUP.octets());
            covered.extend([0, PROTOCOL]);
            covered.extend((bytes.len() as u16).to_be_bytes());
        }
        covered.extend(&bytes);
        let checksum = internet_checksum(&covered).wrapping_add(self.checksum_error);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// The checksum of RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sends what it is given as VRRP from a host.
pub struct Forger {
    socket: Socket,
    source: Ipv4Addr,
    /// What the socket sends with now; to set it each time would halve the rate of a flood.
    time_to_live: Cell<Option<u32>>,
}

impl Forger {
    /// Opens the socket.
    ///
    /// # Errors
    /// When raw sockets are refused.
    pub fn on(host: &Host) -> Result<Self> {
        let socket = host.enter(|| {
            let socket = Socket::new(
                Domain::IPV4,
                Type::RAW,
                Some(Protocol::from(i32::from(PROTOCOL))),
            )?;
            socket.set_multicast_if_v4(&host.address())?;
            socket.set_multicast_loop_v4(false)?;
            Ok(socket)
        })?;
        Ok(Self {
            socket,
            source: host.address(),
            time_to_live: Cell::new(None),
        })
    }

    /// Sends an advertisement with the time to live that VRRP asks for.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&self, forged: &Forged) -> Result<()> {
        self.send_bytes(&forged.bytes(self.source), 255)
    }

    /// Sends any bytes with any time to live.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send_bytes(&self, bytes: &[u8], time_to_live: u32) -> Result<()> {
        if self.time_to_live.replace(Some(time_to_live)) != Some(time_to_live) {
            self.socket.set_multicast_ttl_v4(time_to_live)?;
        }
        self.socket
            .send_to(bytes, &SocketAddrV4::new(GROUP, 0).into())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071() {
        assert_eq!(
            internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }
}
