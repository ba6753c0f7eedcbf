//! Names of hosts, looked up by the worker itself, so that what is connected to is what was checked.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fmt, io};

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
    ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::{RuntimeProvider, TokioRuntimeProvider};
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Hosts, Resolver};
use mainstay_protocol::{Answer, Question, Refusal, canonical};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::broker::Broker;
use crate::tally::lock;
use crate::text::one_line;

/// How long a look at `resolv.conf` and `hosts` counts.
const FRESH: Duration = Duration::from_secs(5);
/// Until a name server that stays silent is asked again, or another is: less than the five seconds
/// of `resolv.conf`, since a run has about one.
const PATIENCE: Duration = Duration::from_millis(500);
/// Questions to each name server about one name, at most.
const ATTEMPTS: usize = 3;
/// Name servers and search domains, at most, as in the C library.
const SERVERS: usize = 3;
const DOMAINS: usize = 6;
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 8;

/// Looks names up as this machine is configured to.
#[derive(Debug)]
pub(crate) struct Names {
    broker: Broker,
    known: Mutex<Option<Known>>,
}

struct Known {
    until: Instant,
    resolver: Resolver<Unbound>,
}

impl Names {
    /// Asks the daemon for `resolv.conf` and `hosts` when a name is looked up, not before.
    #[must_use]
    pub(crate) fn new(broker: Broker) -> Self {
        Self {
            broker,
            known: Mutex::default(),
        }
    }

    /// The addresses of a name that can be peers, in the order in which they came; at least one.
    ///
    /// # Errors
    /// [`NamesError`]. Takes as long as it takes: an end in time is for the caller to see to.
    pub(super) async fn lookup(&self, name: &str, plugin: &str) -> Result<Vec<IpAddr>, NamesError> {
        let resolver = self.resolver(plugin).await?;
        let found = resolver.lookup_ip(name).await.map_err(|error| {
            if error.is_no_records_found() || error.is_nx_domain() {
                NamesError::Unknown
            } else {
                NamesError::Failed(error.to_string())
            }
        })?;
        let addresses: Vec<IpAddr> = found.iter().filter_map(canonical).take(ADDRESSES).collect();
        if addresses.is_empty() {
            return Err(NamesError::Unknown);
        }
        Ok(addresses)
    }

    async fn resolver(&self, plugin: &str) -> Result<Resolver<Unbound>, NamesError> {
        let now = Instant::now();
        if let Some(known) = lock(&self.known).as_ref().filter(|known| known.until > now) {
            return Ok(known.resolver.clone());
        }
        let Answer::Names { resolv_conf, hosts } = self.ask(plugin, Question::Names).await? else {
            return Err(NamesError::Failed("no answer of the daemon".to_owned()));
        };
        let resolver = build(&resolv_conf, &hosts)?;
        *lock(&self.known) = Some(Known {
            until: now + FRESH,
            resolver: resolver.clone(),
        });
        Ok(resolver)
    }

    /// Those of the addresses that are this machine's own now, virtual ones included.
    ///
    /// # Errors
    /// As [`Self::lookup`], and whenever it is not known.
    pub(super) async fn own(
        &self,
        addresses: Vec<IpAddr>,
        plugin: &str,
    ) -> Result<Vec<IpAddr>, NamesError> {
        match self.ask(plugin, Question::Own { addresses }).await? {
            Answer::Own { addresses } => Ok(addresses),
            _ => Err(NamesError::Failed("no answer of the daemon".to_owned())),
        }
    }

    async fn ask(&self, plugin: &str, question: Question) -> Result<Answer, NamesError> {
        match self.broker.ask(plugin, question).await {
            Ok((answer, _)) => Ok(answer),
            Err(Refusal::Busy) => Err(NamesError::Busy),
            Err(why) => Err(NamesError::Failed(format!("{why:?}"))),
        }
    }
}

fn build(resolv_conf: &str, hosts: &str) -> Result<Resolver<Unbound>, NamesError> {
    // Lines that are wrong are left out, as the C library does.
    let (config, _) = resolv_conf::Config::parse_with_errors(resolv_conf.as_bytes());
    let mut servers: Vec<IpAddr> = config.nameservers.iter().map(IpAddr::from).collect();
    servers.truncate(SERVERS);
    if servers.is_empty() {
        // What the C library asks then.
        servers.push([127, 0, 0, 1].into());
    }
    let search = config.get_last_search_or_domain();
    let search = search.filter_map(|domain| Name::from_str_relaxed(domain).ok());
    let servers = servers.into_iter().map(NameServerConfig::udp_and_tcp);
    let mut builder = Resolver::builder_with_config(
        ResolverConfig::from_parts(None, search.take(DOMAINS).collect(), servers.collect()),
        Unbound::default(),
    );
    let options: &mut ResolverOpts = builder.options_mut();
    options.ndots = config.ndots as usize;
    options.timeout = Duration::from_secs(config.timeout.into()).min(PATIENCE);
    options.attempts = (config.attempts as usize).clamp(1, ATTEMPTS);
    options.edns0 = config.edns0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.server_ordering_strategy = if config.rotate {
        ServerOrderingStrategy::RoundRobin
    } else {
        ServerOrderingStrategy::UserProvidedOrder
    };
    // The kernel picks the port: nothing may be bound here.
    options.os_port_selection = true;
    let failed = |error: &dyn fmt::Display| NamesError::Failed(error.to_string());
    let mut resolver = builder.build().map_err(|error| failed(&error))?;
    let mut table = Hosts::default();
    table
        .read_hosts_conf(hosts.as_bytes())
        .map_err(|error| failed(&error))?;
    resolver.set_hosts(Arc::new(table));
    Ok(resolver)
}

/// As tokio's, but with datagram sockets that are not bound: the system calls that this process has
/// left do not include it.
#[derive(Clone, Default)]
struct Unbound(TokioRuntimeProvider);

impl RuntimeProvider for Unbound {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = <TokioRuntimeProvider as RuntimeProvider>::Udp;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.0.create_handle()
    }

    fn connect_tcp(
        &self,
        server: std::net::SocketAddr,
        bound: Option<std::net::SocketAddr>,
        timeout: Option<Duration>,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Tcp>>>> {
        self.0.connect_tcp(server, bound, timeout)
    }

    fn bind_udp(
        &self,
        _local: std::net::SocketAddr,
        server: std::net::SocketAddr,
    ) -> Pin<Box<dyn Send + Future<Output = io::Result<Self::Udp>>>> {
        Box::pin(async move {
            let socket = datagram_socket(server.ip())?;
            Self::Udp::from_std(std::net::UdpSocket::from(socket))
        })
    }
}

/// A socket for datagrams to such an address, neither bound nor connected.
fn datagram_socket(peer: IpAddr) -> io::Result<OwnedFd> {
    let family = match peer {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, SocketType::DGRAM, flags, None)?)
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub(super) enum NamesError {
    /// Whoever knows says so.
    #[error("the name has no address")]
    Unknown,
    /// Nobody who knows could be asked.
    #[error("the name service does not answer: {}", one_line(.0, 200))]
    Failed(String),
    /// Too many questions to the daemon.
    #[error("too many names are looked up")]
    Busy,
}
