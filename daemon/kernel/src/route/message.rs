//! Netlink messages, to and from what the engine knows.
//!
//! Of a link only the attributes that matter are read, so that one which a newer kernel adds or
//! writes differently can't make a link invisible.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use mainstay_core::address::{InterfaceIndex, MacAddress, Prefix};
use mainstay_core::input::Link;
use netlink_packet_core::{
    DefaultNla, ErrorBuffer, ErrorMessage, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE,
    NLMSG_ERROR, NetlinkBuffer, NetlinkMessage, NlasIterator, Parseable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecUnspec, LinkAttribute, LinkFlags, LinkHeader, LinkLayerType, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

/// Our `IFA_PROTO`, the letter `m`: what Linux (since 5.18) keeps with each address that we add.
/// Linux itself uses 1 to 3 and leaves the rest to whoever adds addresses.
pub const MARK: u8 = 0x6d;

/// Length of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// From linux/if_link.h.
const IFLA_INET_CONF: u16 = 1;
/// From linux/ip.h.
const IPV4_DEVCONF_PROMOTE_SECONDARIES: u16 = 20;

/// A message as it came.
#[derive(Debug)]
pub(super) struct Message {
    /// The sequence number of the request that it answers or that caused it.
    pub(super) sequence: u32,
    /// It is one of several that answer a dump.
    pub(super) multipart: bool,
    /// The dump is not consistent.
    pub(super) interrupted: bool,
    pub(super) body: Body,
}

/// What a message says.
#[derive(Debug)]
pub(super) enum Body {
    Link(Link),
    LinkGone(InterfaceIndex),
    Address {
        interface: InterfaceIndex,
        prefix: Prefix,
        secondary: bool,
        /// `IFA_PROTO`, which the kernel leaves out where it is 0.
        protocol: Option<u8>,
    },
    AddressGone {
        interface: InterfaceIndex,
        prefix: Prefix,
    },
    /// A request has been carried out or refused.
    Acknowledged(io::Result<()>),
    /// The end of a dump, complete or not.
    Done(io::Result<()>),
    /// Something that doesn't concern us.
    Other,
}

/// Takes a datagram apart.
pub(super) fn parse(mut datagram: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Ok(buffer) = NetlinkBuffer::new_checked(datagram) {
        let flags = buffer.flags();
        messages.push(Message {
            sequence: buffer.sequence_number(),
            multipart: flags & NLM_F_MULTIPART != 0,
            interrupted: flags & NLM_F_DUMP_INTR != 0,
            body: body(buffer.message_type(), buffer.payload()).unwrap_or(Body::Other),
        });
        let length = usize::try_from(buffer.length()).unwrap_or(usize::MAX);
        let aligned = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        datagram = datagram.get(aligned..).unwrap_or_default();
    }
    messages
}

/// What a message of this type says; `None` when it concerns something else.
fn body(kind: u16, payload: &[u8]) -> Option<Body> {
    match kind {
        libc::RTM_NEWLINK => link(payload).map(Body::Link),
        libc::RTM_DELLINK => own_link_header(payload).map(|link| Body::LinkGone(index(&link))),
        libc::RTM_NEWADDR => address(payload, |prefix, message, attributes| Body::Address {
            interface: InterfaceIndex(message.header.index),
            prefix,
            secondary: attributes.flags.contains(AddressFlags::Secondary),
            protocol: attributes.protocol,
        }),
        libc::RTM_DELADDR => address(payload, |prefix, message, _| Body::AddressGone {
            interface: InterfaceIndex(message.header.index),
            prefix,
        }),
        NLMSG_ERROR => acknowledgement(payload).map(Body::Acknowledged),
        NLMSG_DONE => Some(Body::Done(ending(payload))),
        _ => None,
    }
}

fn acknowledgement(payload: &[u8]) -> Option<io::Result<()>> {
    let message = ErrorMessage::parse(&ErrorBuffer::new_checked(&payload).ok()?).ok()?;
    Some(match message.code {
        None => Ok(()),
        Some(_) => Err(message.to_io()),
    })
}

/// How a dump ended: a negative error number, or zero, which may be left out.
fn ending(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().copied().map(i32::from_ne_bytes) {
        Some(code @ ..0) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Ok(()),
    }
}

/// The header of a message on a link itself. A bridge speaks of its ports in the same messages under
/// its own family; there `RTM_DELLINK` means that a link left the bridge.
fn own_link_header(payload: &[u8]) -> Option<LinkHeader> {
    let header = LinkHeader::parse(payload).ok()?;
    (header.interface_family == AddressFamily::Unspec).then_some(header)
}

fn index(header: &LinkHeader) -> InterfaceIndex {
    InterfaceIndex(header.index)
}

fn link(payload: &[u8]) -> Option<Link> {
    let header = own_link_header(payload)?;
    let mut name = None;
    let mut mac = None;
    for attribute in NlasIterator::new(payload.get(LINK_HEADER..)?) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            libc::IFLA_IFNAME => {
                let bytes = attribute.value().split(|byte| *byte == 0).next()?;
                name = Some(String::from_utf8_lossy(bytes).into_owned());
            }
            libc::IFLA_ADDRESS => mac = MacAddress::try_from(attribute.value()).ok(),
            _ => (),
        }
    }
    let ethernet = header.link_layer_type == LinkLayerType::Ether;
    // RUNNING follows the operational state, which may lag behind the carrier; LOWER_UP is the
    // carrier.
    let needed = LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp;
    Some(Link {
        index: index(&header),
        name: name?,
        mac: mac.filter(|_| ethernet),
        running: header.flags.contains(needed),
    })
}

/// The attributes of an address that matter.
struct Attributes {
    flags: AddressFlags,
    protocol: Option<u8>,
}

fn address(
    payload: &[u8],
    body: impl FnOnce(Prefix, &AddressMessage, &Attributes) -> Body,
) -> Option<Body> {
    let message = AddressMessage::parse(payload).ok()?;
    if message.header.family != AddressFamily::Inet {
        return None;
    }
    let mut local = None;
    let mut peer = None;
    let mut attributes = Attributes {
        flags: AddressFlags::from_bits_retain(message.header.flags.bits().into()),
        protocol: None,
    };
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => local = Some(*address),
            AddressAttribute::Address(IpAddr::V4(address)) => peer = Some(*address),
            AddressAttribute::Flags(flags) => attributes.flags = *flags,
            AddressAttribute::Protocol(protocol) => attributes.protocol = Some((*protocol).into()),
            _ => (),
        }
    }
    // They differ on a point-to-point link: there `IFA_ADDRESS` is the other end.
    let address: Ipv4Addr = local.or(peer)?;
    let prefix = Prefix::new(address, message.header.prefix_len)?;
    Some(body(prefix, &message, &attributes))
}

/// A request for all links.
pub(super) fn list_links() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkMessage::default())
}

/// A request for all IPv4 addresses.
pub(super) fn list_addresses() -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    RouteNetlinkMessage::GetAddress(message)
}

/// A request to add an address, marked as ours.
pub(super) fn add(interface: InterfaceIndex, prefix: Prefix) -> RouteNetlinkMessage {
    let mut message = address_message(interface, prefix);
    let mark = AddressProtocol::Other(MARK);
    message.attributes.push(AddressAttribute::Protocol(mark));
    RouteNetlinkMessage::NewAddress(message)
}

/// A request to remove an address.
pub(super) fn remove(interface: InterfaceIndex, prefix: Prefix) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelAddress(address_message(interface, prefix))
}

fn address_message(interface: InterfaceIndex, prefix: Prefix) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = prefix.length();
    message.header.scope = AddressScope::Universe;
    message.header.index = interface.0;
    let address = IpAddr::V4(prefix.address());
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}

/// Appends a request to a datagram. All of route netlink's messages have a multiple of four bytes,
/// so that the next one starts aligned.
pub(super) fn append(
    datagram: &mut Vec<u8>,
    request: RouteNetlinkMessage,
    flags: u16,
    sequence: u32,
) {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = datagram.len();
    datagram.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut datagram[start..]);
}

/// A request to switch on or off that an interface keeps secondary addresses when their primary one
/// goes (`promote_secondaries`), as `IFLA_AF_SPEC { AF_INET { IFLA_INET_CONF { .. } } }`.
pub(super) fn promote_secondaries(interface: InterfaceIndex, on: bool) -> RouteNetlinkMessage {
    let mut value = Vec::with_capacity(8);
    value.extend_from_slice(&8u16.to_ne_bytes());
    value.extend_from_slice(&IPV4_DEVCONF_PROMOTE_SECONDARIES.to_ne_bytes());
    value.extend_from_slice(&u32::from(on).to_ne_bytes());
    let setting = AfSpecInet::Other(DefaultNla::new(IFLA_INET_CONF, value));
    let mut message = LinkMessage::default();
    message.header.index = interface.0;
    message.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet(vec![
        setting,
    ])])];
    RouteNetlinkMessage::SetLink(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message with this header and payload.
    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(16, 0);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_bridge_that_speaks_of_its_ports_is_not_believed() {
        let mut header = [0; LINK_HEADER];
        header[4..8].copy_from_slice(&7u32.to_ne_bytes());
        let own = parse(&message(libc::RTM_DELLINK, &header));
        assert!(matches!(own[0].body, Body::LinkGone(InterfaceIndex(7))));
        header[0] = u8::try_from(libc::AF_BRIDGE).unwrap();
        let bridge = parse(&message(libc::RTM_DELLINK, &header));
        assert!(matches!(bridge[0].body, Body::Other));
    }

    #[test]
    fn a_dump_can_end_with_an_error() {
        let done = parse(&message(NLMSG_DONE, &(-4i32).to_ne_bytes()));
        let Body::Done(Err(error)) = &done[0].body else {
            panic!("{done:?}");
        };
        assert_eq!(error.raw_os_error(), Some(4));
        assert!(matches!(
            parse(&message(NLMSG_DONE, &[]))[0].body,
            Body::Done(Ok(()))
        ));
        let worst = parse(&message(NLMSG_DONE, &i32::MIN.to_ne_bytes()));
        assert!(matches!(worst[0].body, Body::Done(Err(_))));
    }

    #[test]
    fn what_is_asked_for_reads_back() {
        let prefix = "10.0.0.100/24".parse().unwrap();
        let mut datagram = Vec::new();
        append(&mut datagram, add(InterfaceIndex(7), prefix), 0, 1);
        append(&mut datagram, remove(InterfaceIndex(7), prefix), 0, 2);
        let messages = parse(&datagram);
        assert_eq!(messages.len(), 2);
        assert!(matches!(
            messages[0].body,
            Body::Address { prefix: read, protocol: Some(MARK), .. } if read == prefix
        ));
        assert!(
            matches!(messages[1].body, Body::AddressGone { prefix: read, .. } if read == prefix)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            parse(&bytes);
        }

        #[test]
        fn any_payload_of_a_message_that_concerns_us_is_survived(
            kind in prop::sample::select(vec![
                libc::RTM_NEWLINK,
                libc::RTM_DELLINK,
                libc::RTM_NEWADDR,
                libc::RTM_DELADDR,
                NLMSG_ERROR,
                NLMSG_DONE,
            ]),
            family in prop::sample::select(vec![0, 2]),
            mut payload in prop::collection::vec(any::<u8>(), 0..128),
        ) {
            if let Some(first) = payload.first_mut() {
                *first = family;
            }
            prop_assert_eq!(parse(&message(kind, &payload)).len(), 1);
        }
    }
}
