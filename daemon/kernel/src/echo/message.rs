//! The echo request and its reply as bytes.
//!
//! ```text
//!    0       1       2       3
//! ┌───────┬───────┬───────┬───────┐
//! │ type  │   0   │ checksum      │   8 and 0 in ICMP, 128 and 129 in ICMPv6
//! ├───────┴───────┼───────┴───────┤
//! │ identifier    │ 1             │   sequence
//! ├───────────────┴───────────────┤
//! │ 16 random bytes               │
//! └───────────────────────────────┘
//! ```

use mainstay_core::wire::checksum::Sum;
use socket2::SockFilter;

use crate::bpf::{self, DROP, PASS};
use crate::ipv4;

/// Bytes of a message.
const LENGTH: usize = 24;
/// The only request that a socket sends.
const SEQUENCE: [u8; 2] = [0, 1];

/// What kind of socket a packet came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// The kernel sets the identifier, and takes off the IP header.
    Ping,
    /// ICMP comes with its IP header, ICMPv6 without.
    Raw,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    is_ipv4: bool,
    identifier: [u8; 2],
    nonce: [u8; 16],
}

impl Request {
    /// A request with an identifier and a nonce of these bytes.
    pub(super) fn new(is_ipv4: bool, random: [u8; 18]) -> Self {
        let [i1, i2, nonce @ ..] = random;
        Self {
            is_ipv4,
            identifier: [i1, i2],
            nonce,
        }
    }

    /// As it is sent. The kernel fills in the checksum of ICMPv6, and of what goes by a ping socket.
    pub(super) fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = if self.is_ipv4 { 8 } else { 128 };
        bytes[4..6].copy_from_slice(&self.identifier);
        bytes[6..8].copy_from_slice(&SEQUENCE);
        bytes[8..].copy_from_slice(&self.nonce);
        if self.is_ipv4 {
            let sum = Sum::default().with(&bytes).checksum();
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// Whether this packet is the reply.
    pub(super) fn is_answered_by(&self, packet: &[u8], form: Form) -> bool {
        let message = match (form, self.is_ipv4) {
            (Form::Raw, true) => ipv4::parse(packet).map(|datagram| datagram.payload),
            _ => Some(packet),
        };
        message.is_some_and(|message| self.is_reply(message, form))
    }

    fn is_reply(&self, message: &[u8], form: Form) -> bool {
        let Ok(message) = <&[u8; LENGTH]>::try_from(message) else {
            return false;
        };
        let reply = if self.is_ipv4 { 0 } else { 129 };
        // Nobody has checked it before a raw socket of IPv4 gets it.
        let sums_up = !self.is_ipv4 || Sum::default().with(message).is_valid();
        message[..2] == [reply, 0]
            && sums_up
            && (form == Form::Ping || message[4..6] == self.identifier)
            && message[6..8] == SEQUENCE
            && message[8..] == self.nonce
    }

    /// Lets pass what may be the reply at a raw socket: the type and the identifier are right.
    pub(super) fn filter(&self) -> Vec<SockFilter> {
        let (reply, identifier) = (u32::from(!self.is_ipv4) * 129, self.identifier);
        let identifier = u32::from(u16::from_be_bytes(identifier));
        let find = match self.is_ipv4 {
            true => SockFilter::new(bpf::LOAD_X_HEADER_LENGTH, 0, 0, 0),
            false => SockFilter::new(bpf::LOAD_X_NUMBER, 0, 0, 0),
        };
        vec![
            find,
            SockFilter::new(bpf::LOAD_BYTE_BEHIND_X, 0, 0, 0),
            SockFilter::new(bpf::JUMP_IF_EQUAL, 0, 3, reply),
            SockFilter::new(bpf::LOAD_HALF_BEHIND_X, 0, 0, 4),
            SockFilter::new(bpf::JUMP_IF_EQUAL, 0, 1, identifier),
            bpf::end(PASS),
            bpf::end(DROP),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(is_ipv4: bool) -> Request {
        Request::new(is_ipv4, *b"idsixteen bytes...")
    }

    /// The reply of a peer that does as it should.
    fn reply(request: &Request) -> [u8; LENGTH] {
        let mut bytes = request.bytes();
        bytes[0] = if request.is_ipv4 { 0 } else { 129 };
        if request.is_ipv4 {
            bytes[2..4].fill(0);
            let sum = Sum::default().with(&bytes).checksum();
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    fn with_header(message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[3] = u8::try_from(20 + message.len()).unwrap();
        packet.extend_from_slice(message);
        packet
    }

    #[test]
    fn a_reply_is_known_by_every_byte() {
        for is_ipv4 in [true, false] {
            let request = request(is_ipv4);
            let right = reply(&request);
            assert!(request.is_answered_by(&right, Form::Ping));
            let bytes = if is_ipv4 {
                with_header(&right)
            } else {
                right.to_vec()
            };
            assert!(request.is_answered_by(&bytes, Form::Raw));
            assert!(
                !request.is_answered_by(&request.bytes(), Form::Ping),
                "the request"
            );
            // In ICMPv6 the kernel has looked at the checksum.
            for at in (0..LENGTH).filter(|at| is_ipv4 || !(2..4).contains(at)) {
                let mut wrong = right;
                wrong[at] ^= 1;
                let bytes = if is_ipv4 {
                    with_header(&wrong)
                } else {
                    wrong.to_vec()
                };
                assert!(!request.is_answered_by(&bytes, Form::Raw), "byte {at}");
            }
            let mut longer = right.to_vec();
            longer.push(0);
            assert!(!request.is_answered_by(&longer, Form::Ping));
            assert!(!request.is_answered_by(&right[..LENGTH - 1], Form::Ping));
        }
    }

    proptest! {
        #[test]
        fn bytes_of_strangers_are_no_reply(bytes: Vec<u8>, is_ipv4: bool) {
            for form in [Form::Ping, Form::Raw] {
                prop_assert!(!request(is_ipv4).is_answered_by(&bytes, form));
            }
        }
    }
}
