//! One bounded request over HTTP/1.1 to an address that is granted: what `http` and `wasi:http`
//! share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::{Method, response};
use mainstay_protocol::{HttpUrl, Origin, Refusal, UrlHost, UrlPrefix, special_range};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wasmtime_wasi_http::io::TokioIo;

use super::Shared;
use super::dial::{Dial, DialError};
use super::names::NamesError;
use super::tls::TlsError;
use crate::bindings::http::Error;
use crate::bindings::network::TlsOptions;
use crate::grants::{Grants, UrlGrant};
use crate::tally::Tally;
use crate::text::one_line;

/// Requests of one run, at most.
pub(super) const PER_RUN: u32 = 4;
/// Bytes of a request's body, at most.
pub(super) const BODY: usize = 64 << 10;
/// Bytes of a response's head, at most; also of what a request's fields come to.
pub(super) const HEAD: usize = 16 << 10;
/// Fields of a response's head, at most.
const FIELDS: usize = 100;
/// What is spoken, in TLS's name for it.
pub(super) const PROTOCOL: &str = "http/1.1";
/// Bytes of a text for people.
const TEXT: usize = 256;

/// Fields that belong to the connection or frame the message: who could set them could make two
/// requests of one.
const HOSTS_OWN: [HeaderName; 9] = [
    HOST,
    CONNECTION,
    hyper::header::CONTENT_LENGTH,
    hyper::header::TRANSFER_ENCODING,
    hyper::header::TE,
    hyper::header::TRAILER,
    hyper::header::UPGRADE,
    hyper::header::EXPECT,
    HeaderName::from_static("keep-alive"),
];

/// Whether a field is the host's to set.
pub(super) fn is_hosts_own(name: &HeaderName) -> bool {
    HOSTS_OWN.contains(name) || *name == "proxy-connection"
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: HttpUrl,
    /// Whom to ask instead of the URL's host.
    pub(super) connect_to: Option<SocketAddr>,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// Without those that are the host's.
    pub(super) fields: HeaderMap,
    pub(super) body: Bytes,
    /// How the peer is made sure of; `None` for http.
    pub(super) tls: Option<TlsOptions>,
    /// Until the whole answer is there.
    pub(super) time: Duration,
    /// Bytes of the answer's body that are kept.
    pub(super) max_body: usize,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) head: response::Parts,
    pub(super) body: Vec<u8>,
    /// Whether the body goes on after that.
    pub(super) truncated: bool,
    pub(super) elapsed: Duration,
}

/// Fetches for one run.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    /// The permission that it goes by, as it is called in the configuration.
    pub(super) permission: &'static str,
    /// What may be asked without a grant.
    pub(super) target: Option<SocketAddr>,
    pub(super) grants: Arc<Grants>,
    pub(super) shared: Arc<Shared>,
    pub(super) tally: Arc<Tally>,
    pub(super) deadline: Instant,
}

impl Fetcher {
    /// The grant that counts here.
    pub(super) fn grant(&self) -> &UrlGrant {
        match self.permission {
            "http" => &self.grants.http,
            _ => &self.grants.wasi_http,
        }
    }

    /// Asks and waits for the whole answer.
    pub(super) async fn fetch(&self, request: Request) -> Result<Response, Error> {
        let start = Instant::now();
        let time = request
            .time
            .min(self.deadline.saturating_duration_since(start));
        let exchange = async {
            let named = self.permit(&request)?;
            let slot = self.shared.probes.take(&self.grants.plugin);
            let _slot = slot.ok_or(Error::TooMany)?;
            let peers = match named {
                Some(peer) => vec![peer],
                None => self.resolve(&request.url).await?,
            };
            let client = request.tls.as_ref().map(|tls| self.shared.tls.client(tls));
            let client = client.transpose()?;
            let stream = self.connect(&peers, request.origin, start + time).await?;
            match client {
                Some(client) => exchange(client.handshake(stream).await?.0, request).await,
                None => exchange(stream, request).await,
            }
        };
        let (head, body, truncated) = timeout(time, exchange)
            .await
            .unwrap_or(Err(Error::TimedOut))?;
        Ok(Response {
            head,
            body,
            truncated,
            elapsed: start.elapsed(),
        })
    }

    /// Checks what can be checked before a name is looked up: the address to connect to, or else
    /// whether the URL's name may be looked up at all.
    fn permit(&self, request: &Request) -> Result<Option<SocketAddr>, Error> {
        let url = &request.url;
        let peer = match (request.connect_to, &url.host) {
            (Some(peer), _) => Some(peer),
            (None, UrlHost::Address(address)) => Some(SocketAddr::new(*address, url.port)),
            (None, UrlHost::Name(_)) => None,
        };
        let granted = match (&url.host, peer) {
            (_, Some(peer)) => self.allows(url, peer),
            (UrlHost::Name(name), None) => self.grant().names(url, name),
            (UrlHost::Address(_), None) => false,
        };
        if !granted {
            self.deny(url, peer);
            return Err(Error::NotPermitted);
        }
        let origin = &request.origin;
        if !self.grant().allows_origin(origin) {
            let source = origin.source.map(|source| format!(" from {source}"));
            let mark = origin.fwmark.map(|mark| format!(" with mark {mark}"));
            let (source, mark) = (source.unwrap_or_default(), mark.unwrap_or_default());
            self.tally.deny(
                format!("{}.fetch{source}{mark}", self.permission),
                self.grant().line(self.permission, |grant| {
                    grant.sources.extend(origin.source);
                    grant.sources.dedup();
                    grant.fwmarks.extend(origin.fwmark);
                    grant.fwmarks.dedup();
                }),
            );
            return Err(Error::NotPermitted);
        }
        if request.tls.as_ref().is_some_and(|tls| !tls.verify) && !self.grant().unverified_tls() {
            self.tally.deny(
                format!("{}.fetch without verification", self.permission),
                self.grant()
                    .line(self.permission, |grant| grant.unverified_tls = true),
            );
            return Err(Error::NotPermitted);
        }
        Ok(peer)
    }

    /// The addresses of the URL's host that may be connected to, in the order in which they came.
    async fn resolve(&self, url: &HttpUrl) -> Result<Vec<SocketAddr>, Error> {
        let UrlHost::Name(name) = &url.host else {
            return Err(Error::NotPermitted);
        };
        let (names, plugin) = (&self.shared.names, &self.grants.plugin);
        let failed = |error: NamesError| match error {
            NamesError::Busy => Error::TooMany,
            other => Error::ResolveFailed(one_line(&other.to_string(), TEXT)),
        };
        let found = names.lookup(name, plugin).await.map_err(failed)?;
        let peer = |address: &IpAddr| SocketAddr::new(*address, url.port);
        let granted = |address: &IpAddr| self.allows(url, peer(address));
        // A name may have any address but a special one and this machine's own.
        let by_name = |address: &&IpAddr| !granted(address) && special_range(**address).is_none();
        let by_name: Vec<IpAddr> = found.iter().filter(by_name).copied().collect();
        let own = match by_name.is_empty() {
            true => Vec::new(),
            false => {
                let own = names.own(by_name.clone(), plugin);
                own.await.map_err(failed)?
            }
        };
        let open = |address: &&IpAddr| {
            granted(address) || by_name.contains(address) && !own.contains(address)
        };
        let allowed: Vec<SocketAddr> = found.iter().filter(open).map(peer).collect();
        if allowed.is_empty() {
            self.deny(url, found.last().map(peer));
            return Err(Error::NotPermitted);
        }
        Ok(allowed)
    }

    fn allows(&self, url: &HttpUrl, peer: SocketAddr) -> bool {
        self.target == Some(peer) || self.grant().covers(url, peer)
    }

    /// Notes a denied request, without its query: that is the plugin's, and may be a secret.
    fn deny(&self, url: &HttpUrl, peer: Option<SocketAddr>) {
        let at = peer.map_or_else(String::new, |peer| format!(" at {peer}"));
        let secrets = &self.grants.secrets;
        let call = format!("{}.fetch {url}{at}", self.permission);
        let line = self.grant().line(self.permission, |grant| {
            grant.urls.push(UrlPrefix::of(url, peer));
        });
        self.tally.deny(
            one_line(&secrets.blot(&call), 256),
            secrets.blot(&line).into_owned(),
        );
    }

    /// Connects to the first peer that takes the connection; each gets its share of the time.
    async fn connect(
        &self,
        peers: &[SocketAddr],
        origin: Origin,
        until: Instant,
    ) -> Result<TcpStream, Error> {
        let family = |peer: &&SocketAddr| {
            let source = origin.source;
            source.is_none_or(|source| source.is_ipv4() == peer.is_ipv4())
        };
        let peers: Vec<&SocketAddr> = peers.iter().filter(family).collect();
        let mut last = Error::ConnectFailed("source and peer are not of one family".to_owned());
        for (index, peer) in peers.iter().enumerate() {
            let left = u32::try_from(peers.len() - index).unwrap_or(u32::MAX);
            let share = until.saturating_duration_since(Instant::now()) / left;
            let dial = Dial {
                plugin: self.grants.plugin.clone(),
                to: **peer,
                origin,
            };
            last = match timeout(share, dial.tcp(&self.shared.broker)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(DialError::Refused(Refusal::NotPermitted))) => Error::NotPermitted,
                Ok(Err(DialError::Refused(Refusal::Busy))) => Error::TooMany,
                Ok(Err(error)) => Error::ConnectFailed(one_line(&error.to_string(), TEXT)),
                Err(_) => Error::TimedOut,
            };
        }
        Err(last)
    }
}

/// What is asked of a peer unless it is told otherwise: a certificate for the URL's host.
pub(super) fn default_tls(url: &HttpUrl, verify: bool) -> TlsOptions {
    TlsOptions {
        server_name: match &url.host {
            UrlHost::Name(name) => name.clone(),
            UrlHost::Address(address) => address.to_string(),
        },
        verify,
        authorities: None,
        alpn: vec![PROTOCOL.to_owned()],
        attributes: Vec::new(),
    }
}

type Answer = (response::Parts, Vec<u8>, bool);

async fn exchange<S>(stream: S, request: Request) -> Result<Answer, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let most = request.max_body;
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(FIELDS)
        .max_buf_size(HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failure)?;
    let asked = async {
        let response = sender.send_request(message(request)?).await;
        let (head, mut body) = response.map_err(failure)?.into_parts();
        let mut kept = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failure)?.into_data() else {
                continue;
            };
            let room = most - kept.len();
            kept.extend_from_slice(&data[..room.min(data.len())]);
            if data.len() > room {
                return Ok((head, kept, true));
            }
        }
        Ok((head, kept, false))
    };
    // The connection does the work while the request waits; its errors reach the request.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = asked => answer,
        never = driven => never,
    }
}

/// The request as it goes out, with the fields that are the host's.
fn message(request: Request) -> Result<hyper::Request<Full<Bytes>>, Error> {
    let authority = HeaderValue::try_from(request.url.authority());
    let mut fields = HeaderMap::new();
    fields.insert(
        HOST,
        authority.map_err(|_| Error::InvalidRequest("its host".to_owned()))?,
    );
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    fields.extend(request.fields);
    let mut message = hyper::Request::new(Full::new(request.body));
    *message.method_mut() = request.method;
    *message.uri_mut() = request.url.target().clone().into();
    *message.headers_mut() = fields;
    Ok(message)
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Invalid(why) => Self::InvalidRequest(one_line(&why, TEXT)),
            TlsError::Failed(why) => Self::TlsFailed(one_line(&why, TEXT)),
        }
    }
}

fn failure(error: hyper::Error) -> Error {
    if error.is_parse_too_large() {
        return Error::ProtocolError(format!(
            "the head of the answer has more than {HEAD} bytes or {FIELDS} fields"
        ));
    }
    let io = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let text = match io {
        _ if error.is_incomplete_message() => {
            "the peer closed before the answer was complete".to_owned()
        }
        Some(io) => io.to_string(),
        None => error.to_string(),
    };
    Error::ProtocolError(one_line(&text, TEXT))
}
