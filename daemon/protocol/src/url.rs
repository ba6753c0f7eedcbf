//! URLs of http and https, read more strictly than browsers read them: what a grant is compared with
//! has to be what the server of the request gets to see.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::address::{opens, peer_address, special_range, unmapped};

/// Bytes of a URL, at most.
pub const LONGEST_URL: usize = 4096;
/// How often a path is decoded in search of dots that hide behind several encodings.
const ENCODINGS: usize = 4;

/// An absolute URL that can be asked for, without user, password and fragment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpUrl {
    /// Whether it is https.
    pub secure: bool,
    /// Whom it names.
    pub host: UrlHost,
    /// As written, or that of the scheme.
    pub port: u16,
    target: PathAndQuery,
}

/// The host of a URL.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UrlHost {
    /// A name in lower case, at most 253 bytes.
    Name(String),
    /// An address that can be a peer. IPv4 is never written as IPv6.
    Address(IpAddr),
}

impl HttpUrl {
    /// Path and query, as they go into the request.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// What the `host` field of a request says (RFC 9110, section 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port, self.secure)
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (secure, rest) = scheme(text)?;
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        let authority = uri.authority().ok_or(UrlError::Form)?.as_str();
        // Whatever else the library might have taken for the authority.
        if !rest.starts_with(authority) {
            return Err(UrlError::Form);
        }
        let (host, port) = split_port(authority)?;
        let target = uri.path_and_query().ok_or(UrlError::Form)?.clone();
        plain_path(target.path())?;
        Ok(Self {
            secure,
            host: url_host(host)?,
            port: port.unwrap_or_else(|| default_port(secure)),
            target,
        })
    }
}

/// The shape of a URL without its query.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path())
    }
}

/// What a grant lets a plugin ask for: all URLs that begin so.
///
/// Written as a URL without query; in place of a host an address with the length of its prefix may
/// stand, followed by the port: `http://10.0.0.0/24:80/healthz`. The path is compared segment by
/// segment: `/a` covers `/a` and `/a/b`, but not `/ab`; `/a/` covers what is below it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPrefix {
    secure: bool,
    hosts: UrlHosts,
    port: u16,
    path: String,
}

/// The hosts of a [`UrlPrefix`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UrlHosts {
    /// The host of that name, in lower case.
    Name(String),
    /// Every address of a network; its host bits are zero.
    Network(IpNet),
}

impl UrlPrefix {
    /// Whom it is for.
    #[must_use]
    pub fn hosts(&self) -> &UrlHosts {
        &self.hosts
    }

    /// What covers this URL and what is below it: by the address of a peer when one is given, or else
    /// by the URL's host.
    #[must_use]
    pub fn of(url: &HttpUrl, peer: Option<SocketAddr>) -> Self {
        let address = |address: IpAddr| UrlHosts::Network(address.into());
        let hosts = match (peer, &url.host) {
            (Some(peer), _) => address(peer.ip()),
            (None, UrlHost::Address(named)) => address(*named),
            (None, UrlHost::Name(name)) => UrlHosts::Name(name.clone()),
        };
        Self {
            secure: url.secure,
            hosts,
            port: peer.map_or(url.port, |peer| peer.port()),
            path: url.path().to_owned(),
        }
    }

    /// Whether a request that this covers can go to such a peer, as far as its address says: a name
    /// may have any address but a [special](special_range) one.
    #[must_use]
    pub fn reaches(&self, peer: SocketAddr) -> bool {
        self.port == peer.port()
            && match &self.hosts {
                UrlHosts::Network(network) => opens(network, peer.ip()),
                UrlHosts::Name(_) => special_range(peer.ip()).is_none(),
            }
    }

    /// Whether it covers all that another one covers.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let hosts = match (&self.hosts, &other.hosts) {
            (UrlHosts::Name(one), UrlHosts::Name(other)) => one == other,
            (UrlHosts::Network(one), UrlHosts::Network(other)) => {
                one.contains(other) && opens(one, other.addr())
            }
            (UrlHosts::Name(_), UrlHosts::Network(_))
            | (UrlHosts::Network(_), UrlHosts::Name(_)) => false,
        };
        hosts && self.covers(other.secure, other.port, &other.path)
    }

    /// Whether scheme, port and path of a request are covered, whoever the host is. `port` is the
    /// one that is connected to.
    #[must_use]
    pub fn covers(&self, secure: bool, port: u16, path: &str) -> bool {
        self.secure == secure
            && self.port == port
            && path.strip_prefix(self.path.as_str()).is_some_and(|rest| {
                self.path.ends_with('/') || rest.is_empty() || rest.starts_with('/')
            })
    }
}

impl FromStr for UrlPrefix {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (secure, rest) = scheme(text)?;
        if let Some((network, port, path)) = network(rest) {
            plain_path(path)?;
            let path: PathAndQuery = path.parse().map_err(|_| UrlError::Form)?;
            return Self::new(secure, UrlHosts::Network(network), port, &path);
        }
        let url: HttpUrl = text.parse()?;
        let hosts = match url.host {
            UrlHost::Name(name) => UrlHosts::Name(name),
            // Nobody means the path `/24` of one host.
            UrlHost::Address(_) if looks_like_a_network(url.target.path()) => {
                return Err(UrlError::NetworkWithoutPort);
            }
            UrlHost::Address(address) => UrlHosts::Network(address.into()),
        };
        Self::new(secure, hosts, url.port, &url.target)
    }
}

impl UrlPrefix {
    fn new(
        secure: bool,
        hosts: UrlHosts,
        port: u16,
        target: &PathAndQuery,
    ) -> Result<Self, UrlError> {
        if target.query().is_some() {
            return Err(UrlError::Query);
        }
        let path = target.path();
        Ok(Self {
            secure,
            hosts,
            port,
            path: path.to_owned(),
        })
    }
}

/// Whether the path of one host looks like the length of a network's prefix, with or without a port.
fn looks_like_a_network(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    match first.split_once(':') {
        Some((length, _)) => length.bytes().all(|byte| byte.is_ascii_digit()),
        None => path.trim_matches('/').parse::<u8>().is_ok(),
    }
}

impl fmt::Display for UrlPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let (port, path) = (self.port, &self.path);
        let host = match &self.hosts {
            UrlHosts::Name(name) => UrlHost::Name(name.clone()),
            UrlHosts::Network(net)
                if net.prefix_len() == net.max_prefix_len() && !looks_like_a_network(path) =>
            {
                UrlHost::Address(net.addr())
            }
            UrlHosts::Network(IpNet::V4(net)) => {
                return write!(f, "{scheme}://{net}:{port}{path}");
            }
            UrlHosts::Network(IpNet::V6(net)) => {
                let (address, length) = (net.addr(), net.prefix_len());
                return write!(f, "{scheme}://[{address}]/{length}:{port}{path}");
            }
        };
        let authority = authority(&host, port, self.secure);
        write!(f, "{scheme}://{authority}{path}")
    }
}

impl TryFrom<String> for UrlPrefix {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<UrlPrefix> for String {
    fn from(prefix: UrlPrefix) -> Self {
        prefix.to_string()
    }
}

/// Takes the scheme off, and refuses what libraries drop in silence.
fn scheme(text: &str) -> Result<(bool, &str), UrlError> {
    if text.len() > LONGEST_URL {
        return Err(UrlError::Long);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['#', '\\']) {
        return Err(UrlError::Form);
    }
    match text.split_once("://") {
        Some(("http", rest)) => Ok((false, rest)),
        Some(("https", rest)) => Ok((true, rest)),
        _ => Err(UrlError::Scheme),
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn authority(host: &UrlHost, port: u16, secure: bool) -> String {
    let host = match host {
        UrlHost::Name(name) => name.clone(),
        UrlHost::Address(IpAddr::V4(address)) => address.to_string(),
        UrlHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
    };
    if port == default_port(secure) {
        host
    } else {
        format!("{host}:{port}")
    }
}

/// Takes the port off. Only digits are a port; `http` itself takes what has none.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::User);
    }
    let host_ends = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[host_ends..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(host_ends + colon);
    Ok((host, Some(port_number(&port[1..])?)))
}

fn port_number(text: &str) -> Result<u16, UrlError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if port > 0 && digits && !text.starts_with('0') => Ok(port),
        _ => Err(UrlError::Port),
    }
}

fn url_host(text: &str) -> Result<UrlHost, UrlError> {
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or(UrlError::Host)?;
        literal.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        let address = peer_address(literal).ok_or(UrlError::Host)?;
        return Ok(UrlHost::Address(address));
    }
    if text.parse::<Ipv4Addr>().is_ok() {
        let address = peer_address(text).ok_or(UrlError::Host)?;
        return Ok(UrlHost::Address(address));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    // A name that ends in a number is an address to somebody: 127.1, 0x7f.1, 2130706433.
    let last = text.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|two| two.eq_ignore_ascii_case("0x"));
    if text.len() > 253 || number || !text.split('.').all(label) {
        return Err(UrlError::Host);
    }
    Ok(UrlHost::Name(text.to_ascii_lowercase()))
}

/// `ADDRESS/LENGTH:PORT` or `[ADDRESS]/LENGTH:PORT`, and the path after it.
fn network(rest: &str) -> Option<(IpNet, u16, &str)> {
    let (address, rest) = rest.split_once('/')?;
    let address: IpAddr = match address.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => address.parse::<Ipv4Addr>().ok()?.into(),
    };
    let (length, rest) = rest.split_once(':')?;
    let length = length.parse::<u8>().ok()?;
    let (port, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let network = unmapped(IpNet::new(address, length).ok()?);
    Some((network.trunc(), port_number(port).ok()?, path))
}

/// Refuses a path that could lead up: `.` and `..` as segments, in any encoding, and with the
/// parameters that some servers cut off; slashes count in both directions. Also control characters.
fn plain_path(path: &str) -> Result<(), UrlError> {
    if !path.starts_with('/') {
        return Err(UrlError::Form);
    }
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..ENCODINGS {
        let dots = |segment: &[u8]| {
            let name = segment.split(|byte| *byte == b';').next();
            matches!(name, Some(b"." | b".."))
        };
        if bytes.iter().any(u8::is_ascii_control)
            || bytes.split(|byte| b"/\\".contains(byte)).any(dots)
        {
            return Err(UrlError::Path);
        }
        match decoded(&bytes) {
            Some(next) => bytes = next,
            None => return Ok(()),
        }
    }
    Err(UrlError::Path)
}

/// Takes one layer of percent-encoding off; `None` when there is none.
fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let hex = |byte: &u8| char::from(*byte).to_digit(16);
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let mut byte = *first;
        if *first == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            byte = u8::try_from(high * 16 + low).unwrap_or(b'%');
            rest = after;
        }
        plain.push(byte);
    }
    (plain.len() < bytes.len()).then_some(plain)
}

/// Why a text is no URL or no prefix of URLs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// Over [`LONGEST_URL`].
    #[error("it is longer than {LONGEST_URL} bytes")]
    Long,
    /// Neither http nor https.
    #[error("it has to begin with http:// or https://")]
    Scheme,
    /// Spaces, a fragment, backslashes, or no URL at all.
    #[error("it is no absolute URL without fragment")]
    Form,
    /// A user or password.
    #[error("it names a user")]
    User,
    /// Neither a name nor an address that can be a peer.
    #[error("its host is neither a name nor an address")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// It could lead up.
    #[error("its path has `.` or `..` in it, in plain or encoded")]
    Path,
    /// A prefix with a query.
    #[error("a grant goes by the path and has no query")]
    Query,
    /// `http://10.0.0.0/24`, `http://10.0.0.0/33:80/`
    #[error("a network is written with its length and its port: http://10.0.0.0/24:80/")]
    NetworkWithoutPort,
}

#[cfg(test)]
mod tests;
