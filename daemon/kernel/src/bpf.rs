//! Instructions of classic BPF, by what they do.

use socket2::SockFilter;

pub(crate) const LOAD_BYTE_BEHIND_X: u16 = code(libc::BPF_LD | libc::BPF_B | libc::BPF_IND);
pub(crate) const LOAD_HALF_BEHIND_X: u16 = code(libc::BPF_LD | libc::BPF_H | libc::BPF_IND);
pub(crate) const LOAD_WORD: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS);
pub(crate) const LOAD_LENGTH: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN);
pub(crate) const LOAD_X_HEADER_LENGTH: u16 = code(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH);
pub(crate) const LOAD_X_NUMBER: u16 = code(libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM);
pub(crate) const SUBTRACT_X: u16 = code(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_X);
pub(crate) const JUMP_IF_EQUAL: u16 = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
pub(crate) const JUMP_IF_AT_LEAST: u16 = code(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K);
const RETURN: u16 = code(libc::BPF_RET | libc::BPF_K);

/// Bytes of a packet that pass: all of it.
pub(crate) const PASS: u32 = u32::MAX;
/// None of it.
pub(crate) const DROP: u32 = 0;

/// Ends with this many bytes of the packet.
pub(crate) const fn end(pass: u32) -> SockFilter {
    SockFilter::new(RETURN, 0, 0, pass)
}

/// All codes are below 256; libc has them as wider numbers.
const fn code(bits: u32) -> u16 {
    bits as u16
}
