//! Sockets: every kind that reaches the kernel's tables, the wire below IP, or another process.

use libc::{
    AF_ALG, AF_CAN, AF_INET, AF_INET6, AF_KEY, AF_NETLINK, AF_PACKET, AF_TIPC, AF_UNIX, AF_VSOCK,
    AF_XDP, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
};

use crate::attack::{Attacks, address, syscall};

const VRRP: i32 = 112;

/// Family, type and protocol.
const KINDS: &[(&str, i32, i32, i32)] = &[
    ("netlink-route", AF_NETLINK, SOCK_RAW, 0),
    ("netlink-netfilter", AF_NETLINK, SOCK_DGRAM, 12),
    ("packet-raw", AF_PACKET, SOCK_RAW, 0x0300),
    ("packet-dgram", AF_PACKET, SOCK_DGRAM, 0x0300),
    ("vrrp", AF_INET, SOCK_RAW, VRRP),
    ("vrrp-ipv6", AF_INET6, SOCK_RAW, VRRP),
    ("raw-icmp", AF_INET, SOCK_RAW, libc::IPPROTO_ICMP),
    ("raw", AF_INET, SOCK_RAW, libc::IPPROTO_RAW),
    ("ping", AF_INET, SOCK_DGRAM, libc::IPPROTO_ICMP),
    ("sctp", AF_INET, SOCK_STREAM, libc::IPPROTO_SCTP),
    ("mptcp", AF_INET, SOCK_STREAM, libc::IPPROTO_MPTCP),
    ("udplite", AF_INET, SOCK_DGRAM, libc::IPPROTO_UDPLITE),
    ("unix-stream", AF_UNIX, SOCK_STREAM, 0),
    ("unix-dgram", AF_UNIX, SOCK_DGRAM, 0),
    ("unix-seqpacket", AF_UNIX, SOCK_SEQPACKET, 0),
    ("vsock", AF_VSOCK, SOCK_STREAM, 0),
    ("alg", AF_ALG, SOCK_SEQPACKET, 0),
    ("can", AF_CAN, SOCK_RAW, 1),
    ("key", AF_KEY, SOCK_RAW, 2),
    ("tipc", AF_TIPC, SOCK_SEQPACKET, 0),
    ("xdp", AF_XDP, SOCK_RAW, 0),
];

pub(crate) fn attack(attacks: &mut Attacks) {
    for (name, family, kind, protocol) in KINDS {
        attacks.refused(&format!("socket-{name}"), socket(*family, *kind, *protocol));
    }
    let mut pair = [0_i32; 2];
    let unix = [AF_UNIX.into(), SOCK_STREAM.into(), 0];
    let [family, kind, protocol] = unix;
    let ends = std::ptr::from_mut(&mut pair) as i64;
    attacks.refused(
        "socketpair",
        syscall(libc::SYS_socketpair, [family, kind, protocol, ends, 0, 0]),
    );
    if attacks.may_probe {
        from_a_probe(attacks);
    } else {
        attacks.refused("socket-tcp", socket(AF_INET, SOCK_STREAM, 0));
        attacks.refused("socket-udp", socket(AF_INET6, SOCK_DGRAM, 0));
    }
}

/// What a socket that may be made is not to be used for.
fn from_a_probe(attacks: &mut Attacks) {
    let (Ok(tcp), Ok(udp)) = (
        socket(AF_INET, SOCK_STREAM, 0),
        socket(AF_INET, SOCK_DGRAM, 0),
    ) else {
        attacks.bounded("socket-of-a-probe", 1, 0);
        return;
    };
    let anywhere = libc::sockaddr_in {
        sin_family: AF_INET as u16,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: 0 },
        sin_zero: [0; 8],
    };
    let length = size_of_val(&anywhere) as i64;
    for (name, socket) in [("bind-tcp", tcp), ("bind-udp", udp)] {
        let bind = [socket, address(&anywhere), length, 0, 0, 0];
        attacks.refused(name, syscall(libc::SYS_bind, bind));
    }
    attacks.refused("listen", syscall(libc::SYS_listen, [tcp, 1, 0, 0, 0, 0]));
    attacks.call("accept", libc::SYS_accept4);
    let everything = libc::sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: u32::MAX,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: std::ptr::from_ref(&everything).cast_mut(),
    };
    let level = i64::from(libc::SOL_SOCKET);
    for (name, option) in [
        ("attach-filter", libc::SO_ATTACH_FILTER),
        ("attach-reuseport", libc::SO_ATTACH_REUSEPORT_CBPF),
    ] {
        let length = size_of_val(&program) as i64;
        let call = [udp, level, option.into(), address(&program), length, 0];
        attacks.refused(name, syscall(libc::SYS_setsockopt, call));
    }
    let one = 1_i32;
    for (name, level, option) in [
        ("mark", libc::SOL_SOCKET, libc::SO_MARK),
        ("force-buffer", libc::SOL_SOCKET, libc::SO_RCVBUFFORCE),
        ("transparent", libc::IPPROTO_IP, libc::IP_TRANSPARENT),
    ] {
        let call = [udp, level.into(), option.into(), address(&one), 4, 0];
        attacks.refused(name, syscall(libc::SYS_setsockopt, call));
    }
}

fn socket(family: i32, kind: i32, protocol: i32) -> Result<i64, nix::errno::Errno> {
    let call = [family.into(), kind.into(), protocol.into(), 0, 0, 0];
    syscall(libc::SYS_socket, call)
}
