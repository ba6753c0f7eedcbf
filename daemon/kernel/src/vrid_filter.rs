//! The classic BPF program that keeps advertisements of foreign virtual routers, and of sources that
//! flood, out of a socket.
//!
//! It looks at VRID and source alone. Time to live, version and checksum are left to the engine, so that
//! faults are counted instead of vanishing in the kernel; a packet too short for a VRID passes for
//! the same reason.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use socket2::SockFilter;

use crate::bpf::{
    DROP, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, LOAD_BYTE_BEHIND_X, LOAD_LENGTH, LOAD_WORD,
    LOAD_X_HEADER_LENGTH, PASS, SUBTRACT_X, end,
};

/// Where the source is in the IP header.
const SOURCE: u32 = 12;

/// A filter that lets nothing pass.
pub(crate) const NOTHING: &[SockFilter] = &[end(DROP)];

/// A filter that lets pass what has one of these ids or none at all, unless it comes from one of
/// these sources.
pub(crate) fn only(ids: &[u8], unless: &[Ipv4Addr]) -> Vec<SockFilter> {
    program(ids, unless, PASS, DROP)
}

/// The opposite: a filter that lets pass what has an id, but none of these, and whatever comes from
/// one of these sources.
pub(crate) fn except(ids: &[u8], sources: &[Ipv4Addr]) -> Vec<SockFilter> {
    program(ids, sources, DROP, PASS)
}

/// Does `known` with what has one of these ids or none, and `foreign` with the rest and with these
/// sources. What it sees starts at the IP header; the VRID is the second byte behind that.
fn program(ids: &[u8], sources: &[Ipv4Addr], known: u32, foreign: u32) -> Vec<SockFilter> {
    let ids: BTreeSet<u8> = ids.iter().copied().collect();
    let mut program = vec![SockFilter::new(LOAD_WORD, 0, 0, SOURCE)];
    for source in sources {
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(*source)));
        program.push(end(foreign));
    }
    program.extend([
        SockFilter::new(LOAD_X_HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(SUBTRACT_X, 0, 0, 0),
        SockFilter::new(JUMP_IF_AT_LEAST, 1, 0, 2),
        end(known),
        SockFilter::new(LOAD_BYTE_BEHIND_X, 0, 0, 1),
    ]);
    // A jump reaches 255 instructions: each id has its own way out instead of a common one.
    for id in ids {
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, id.into()));
        program.push(end(known));
    }
    program.push(end(foreign));
    program
}
