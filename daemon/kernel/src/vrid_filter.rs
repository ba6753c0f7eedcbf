//! The classic BPF program that keeps advertisements of foreign virtual routers, and of sources that
//! flood, out of a socket.
//!
//! It looks at VRID and source alone. Time to live, version and checksum are left to the engine, so that
//! faults are counted instead of vanishing in the kernel; a packet too short for a VRID passes for
//! the same reason.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use socket2::SockFilter;

const LOAD_BYTE_BEHIND_X: u16 = code(libc::BPF_LD | libc::BPF_B | libc::BPF_IND);
const LOAD_WORD: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
const LOAD_LENGTH: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN);
const LOAD_X_HEADER_LENGTH: u16 = code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH);
const SUBTRACT_X: u16 = code(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_X);
const JUMP_IF_EQUAL: u16 = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
const JUMP_IF_AT_LEAST: u16 = code(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K);
const RETURN: u16 = code(libc::BPF_RET | libc::BPF_K);

/// Where the source is in the IP header.
const SOURCE: u32 = 12;

/// Bytes of a packet that pass: all of it.
const PASS: u32 = u32::MAX;
/// None of it.
const DROP: u32 = 0;

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

const fn end(pass: u32) -> SockFilter {
    SockFilter::new(RETURN, 0, 0, pass)
}

/// All codes are below 256; libc has them as wider numbers.
const fn code(bits: u32) -> u16 {
    bits as u16
}
