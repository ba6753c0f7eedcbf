//! `wasi:http/outgoing-handler`: the same requests as those of `http`, for code that knows only
//! WASI's interface.
//!
//! Request and response are held whole, so that the limits of `http` are those of `wasi:http`. A
//! response over the limit of the grant is an error: this interface has no way to say that a body
//! was cut.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::header::HeaderName;
use mainstay_protocol::{HttpUrl, Origin, UrlError};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::State;
use super::fetch::{self, Fetcher};
use crate::bindings::http::Error as FetchError;

/// What `wasi:http` knows of one run.
pub(super) struct WasiHttp {
    context: WasiHttpCtx,
    hooks: Hooks,
}

/// How requests of one run are sent.
struct Hooks {
    fetcher: Fetcher,
    sent: u32,
}

impl WasiHttp {
    /// Sends what its `fetcher` may send.
    pub(super) fn new(fetcher: Fetcher) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(fetch::HEAD);
        let hooks = Hooks { fetcher, sent: 0 };
        Self { context, hooks }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.wasi_http.hooks,
            table: &mut self.wasi.resources,
            ctx: &mut self.wasi_http.context,
        }
    }
}

type Answered = (hyper::Response<WasiBody>, Transmission);
/// Ends when the request is sent; here it is by then.
type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        std::sync::Arc::new(is_forbidden)
    }

    fn send_request(
        &mut self,
        request: hyper::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answered, Error>> + Send> {
        let call = self.fetcher.tally.call("wasi-http.handle");
        self.sent += 1;
        let (fetcher, sent) = (self.fetcher.clone(), self.sent);
        Box::new(async move {
            let _call = call;
            let request = whole(request, options.unwrap_or_default(), &fetcher).await?;
            if sent > fetch::PER_RUN {
                return Err(Error::ConnectionLimitReached);
            }
            let response = fetcher.fetch(request).await.map_err(failure)?;
            if response.truncated {
                return Err(Error::HttpResponseBodySize(None));
            }
            let body = Full::new(response.body.into()).map_err(|never| match never {});
            let response = hyper::Response::from_parts(response.head, body.boxed_unsync());
            let sent: Transmission = Box::new(std::future::ready(Ok(())));
            Ok((response, sent))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        fetch::BODY
    }
}

/// `content-length` is checked against the body by the library and set anew by ours.
fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || (fetch::is_hosts_own(name) && *name != hyper::header::CONTENT_LENGTH)
}

/// The request with all of its body, which the guest may still be writing.
async fn whole(
    request: hyper::Request<WasiBody>,
    options: RequestOptions,
    fetcher: &Fetcher,
) -> Result<fetch::Request, Error> {
    let (mut head, body) = request.into_parts();
    let url: HttpUrl = head.uri.to_string().parse().map_err(|error| match error {
        UrlError::Long => Error::HttpRequestUriTooLong,
        _ => Error::HttpRequestUriInvalid,
    })?;
    let body = Limited::new(body, fetch::BODY)
        .collect()
        .await
        .map_err(|_| Error::HttpRequestBodySize(None))?
        .to_bytes();
    head.headers.remove(hyper::header::HOST);
    head.headers.remove(hyper::header::CONTENT_LENGTH);
    let both = |one: Option<Duration>, other: Option<Duration>| one?.checked_add(other?);
    let time = both(options.connect_timeout, options.first_byte_timeout);
    Ok(fetch::Request {
        method: head.method,
        connect_to: None,
        // It has no words to ask for less, so the grant decides.
        tls: url
            .secure
            .then(|| fetch::default_tls(&url, !fetcher.grant().unverified_tls())),
        origin: Origin::default(),
        fields: head.headers,
        body,
        url,
        time: time.unwrap_or(Duration::MAX),
        max_body: fetcher.grant().max_body() as usize,
    })
}

fn failure(error: FetchError) -> Error {
    match error {
        FetchError::NotPermitted => Error::HttpRequestDenied,
        FetchError::InvalidRequest(_) => Error::HttpRequestUriInvalid,
        FetchError::ResolveFailed(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        FetchError::ConnectFailed(_) => Error::ConnectionRefused,
        FetchError::TimedOut => Error::ConnectionTimeout,
        FetchError::TlsFailed(_) => Error::TlsCertificateError,
        FetchError::ProtocolError(_) => Error::HttpProtocolError,
        FetchError::TooMany => Error::ConnectionLimitReached,
        FetchError::Other(why) => Error::InternalError(Some(why)),
    }
}
