//! A laboratory for tests: network namespaces, cables between them, and ears on the cables.
//!
//! Each test has a thread of its own in a namespace of its own, so that nothing is left behind and
//! nothing outside is touched.

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::panic;
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use mainstay_core::address::{InterfaceIndex, Prefix};
use mainstay_core::input::Mark;
use netlink_packet_route::address::{AddressAttribute, AddressProtocol};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};
use socket2::{Domain, Protocol, Socket, Type};

/// The longest wait for something that must happen: only a failing test takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test in a new network namespace. Without the right to make one the test is reported as
/// skipped, which is noted in the file that `MAINSTAY_SKIPS` names.
pub(crate) fn run(test: &str, body: impl FnOnce() + Send) {
    let skipped = thread::scope(|scope| {
        let lab = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => {
                body();
                None
            }
            Err(reason) => Some(reason),
        });
        lab.join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic))
    });
    if let Some(reason) = skipped {
        let reason = format!("no network namespace (try `unshare -Ur`): {reason}");
        mainstay_skips::skip(test, &reason);
    }
}

/// [`run`] for a test that awaits.
pub(crate) fn run_async<F: Future<Output = ()>>(test: &str, body: impl FnOnce() -> F + Send) {
    run(test, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let deadline = async { tokio::time::timeout(PATIENCE * 3, body()).await };
        runtime
            .block_on(deadline)
            .expect("the test waits for something that does not happen");
    });
}

/// Another network namespace.
pub(crate) struct Namespace(File);

impl Namespace {
    pub(crate) fn new() -> Self {
        let here = Self::current();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let new = Self::current();
        here.join();
        new
    }

    fn current() -> Self {
        Self(File::open("/proc/thread-self/ns/net").unwrap())
    }

    fn join(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Does something there. What it opens stays there.
    pub(crate) fn within<T>(&self, body: impl FnOnce() -> T) -> T {
        let here = Self::current();
        self.join();
        let result = body();
        here.join();
        result
    }
}

/// The hand that changes links and addresses: somebody else, as far as the code under test knows.
#[derive(Clone)]
pub(crate) struct Hand(Handle);

impl Hand {
    /// Works in the current namespace of the thread. Call within a runtime.
    pub(crate) fn new() -> Self {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        Self(handle)
    }

    /// Connects two new interfaces, both up.
    pub(crate) async fn cable(&self, one: &str, other: &str) {
        let pair = LinkVeth::new(one, other).up().build();
        self.0.link().add(pair).execute().await.unwrap();
        self.up(other).await;
        self.running(one).await;
        self.running(other).await;
    }

    /// A cable into another namespace, with both ends up: the two indices.
    pub(crate) async fn cable_to(
        &self,
        namespace: &Namespace,
        one: &str,
        other: &str,
    ) -> (InterfaceIndex, InterfaceIndex) {
        self.cable(one, other).await;
        let fd = namespace.0.as_raw_fd();
        let moved = LinkUnspec::new_with_name(other).setns_by_fd(fd).build();
        self.0.link().set(moved).execute().await.unwrap();
        let there = namespace.within(Self::new);
        there.up(other).await;
        self.running(one).await;
        there.running(other).await;
        (self.index(one).await, there.index(other).await)
    }

    async fn set(&self, message: LinkMessageBuilder<LinkUnspec>) {
        self.0.link().set(message.build()).execute().await.unwrap();
    }

    pub(crate) async fn up(&self, name: &str) {
        self.set(LinkUnspec::new_with_name(name).up()).await;
    }

    pub(crate) async fn down(&self, name: &str) {
        self.set(LinkUnspec::new_with_name(name).down()).await;
    }

    pub(crate) async fn rename(&self, index: InterfaceIndex, name: &str) {
        self.set(LinkUnspec::new_with_index(index.0).name(name))
            .await;
    }

    pub(crate) async fn remove_link(&self, index: InterfaceIndex) {
        self.0.link().del(index.0).execute().await.unwrap();
    }

    async fn link(&self, name: &str) -> LinkMessage {
        let mut links = self.0.link().get().match_name(name.to_owned()).execute();
        links.try_next().await.unwrap().unwrap()
    }

    /// Waits until a link carries packets, which Linux works out a moment after its other end is up.
    pub(crate) async fn running(&self, name: &str) {
        let wanted = LinkFlags::Running | LinkFlags::LowerUp;
        while !self.link(name).await.header.flags.contains(wanted) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn index(&self, name: &str) -> InterfaceIndex {
        InterfaceIndex(self.link(name).await.header.index)
    }

    pub(crate) async fn add(&self, interface: InterfaceIndex, prefix: Prefix) {
        let address = self.0.address();
        let add = address.add(interface.0, prefix.address().into(), prefix.length());
        add.execute().await.unwrap();
    }

    /// What the kernel says is there: each IPv4 address with its mark, in the kernel's order.
    pub(crate) async fn addresses(&self, interface: InterfaceIndex) -> Vec<(Ipv4Addr, Mark)> {
        let get = self.0.address().get().set_link_index_filter(interface.0);
        let messages: Vec<_> = get.execute().try_collect().await.unwrap();
        let mut found = Vec::new();
        for message in messages {
            let mut mark = Mark::Other;
            let mut local = None;
            for attribute in message.attributes {
                match attribute {
                    AddressAttribute::Local(std::net::IpAddr::V4(address)) => local = Some(address),
                    AddressAttribute::Protocol(AddressProtocol::Other(crate::route::MARK)) => {
                        mark = Mark::Ours;
                    }
                    _ => (),
                }
            }
            found.extend(local.map(|address| (address, mark)));
        }
        found
    }
}

/// Waits until a socket has something to read; false when it has not for as long as `patience`.
pub(crate) fn readable(socket: &impl AsFd, patience: Duration) -> bool {
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(patience).unwrap();
    poll(&mut sockets, timeout).unwrap() > 0
}

/// Hears every frame of every interface of a namespace.
pub(crate) struct Ear(Socket);

impl Ear {
    pub(crate) fn new() -> Self {
        let all = Protocol::from(i32::from(u16::try_from(libc::ETH_P_ALL).unwrap().to_be()));
        Self(Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(all)).unwrap())
    }

    /// Waits for a frame of this kind; others pass by.
    pub(crate) fn hear(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut buffer = [0; 2048];
        loop {
            assert!(readable(&self.0, PATIENCE), "the frame does not come");
            let length = nix::unistd::read(&self.0, &mut buffer).unwrap();
            if wanted(&buffer[..length]) {
                return buffer[..length].to_vec();
            }
        }
    }
}
