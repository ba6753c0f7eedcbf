//! `http`: requests that the host makes for a plugin, within its grants.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::Method;
use mainstay_protocol::{HttpUrl, Origin, peer_address};

use super::State;
use super::fetch::{self, Fetcher};
use crate::bindings::common::{Attribute, Endpoint};
use crate::bindings::http::{Error, Host, Request, Response};
use crate::bindings::network::{Options, TlsOptions};
use crate::text::one_line;

/// Fields of a request, at most.
const FIELDS: usize = 64;
/// Bytes of a method, at most. The longest that is registered has 17.
const METHOD: usize = 32;

impl Host for State {
    async fn fetch(&mut self, request: Request) -> Result<Response, Error> {
        let _call = self.tally.call("http.fetch");
        self.fetched += 1;
        let fetcher = self.fetcher("http", self.target);
        let request = checked(request, &fetcher)?;
        if self.fetched > fetch::PER_RUN {
            return Err(Error::TooMany);
        }
        let turn = self.waiting_turn();
        turn.wait(fetcher.fetch(request)).await.map(answer)
    }
}

impl State {
    /// What fetches within one of the permissions.
    pub(super) fn fetcher(&self, permission: &'static str, target: Option<SocketAddr>) -> Fetcher {
        Fetcher {
            permission,
            target,
            grants: self.grants.clone(),
            shared: self.shared.clone(),
            tally: self.tally.clone(),
            deadline: self.deadline,
        }
    }
}

/// The request as far as it makes sense; whether it is granted is not asked here.
fn checked(request: Request, fetcher: &Fetcher) -> Result<fetch::Request, Error> {
    let url: HttpUrl = request
        .url
        .parse()
        .map_err(|error| invalid(format!("the URL cannot be used: {error}")))?;
    let method = Method::from_bytes(request.method.as_bytes())
        .ok()
        .filter(|method| method.as_str().len() <= METHOD && *method != Method::CONNECT)
        .ok_or_else(|| invalid("there is no such method".to_owned()))?;
    let body = request.body.unwrap_or_default();
    if body.len() > fetch::BODY {
        let most = fetch::BODY;
        return Err(invalid(format!("a body of more than {most} bytes")));
    }
    let tls = tls(&url, request.tls)?;
    Ok(fetch::Request {
        method,
        tls,
        url,
        connect_to: request.connect_to.as_ref().map(peer).transpose()?,
        origin: origin(&request.options)?,
        fields: fields(&request.headers)?,
        body: body.into(),
        time: Duration::from_millis(request.options.timeout_ms.into()),
        max_body: request.max_body.min(fetcher.grant().max_body()) as usize,
    })
}

/// How the peer is made sure of. What is spoken is not the plugin's to choose.
fn tls(url: &HttpUrl, asked: Option<TlsOptions>) -> Result<Option<TlsOptions>, Error> {
    let own = fetch::default_tls(url, true);
    match asked {
        Some(_) if !url.secure => Err(invalid("TLS for a URL of http".to_owned())),
        Some(tls) if tls.alpn.iter().any(|name| name != fetch::PROTOCOL) => {
            Err(invalid("a protocol that is not http/1.1".to_owned()))
        }
        Some(tls) => Ok(Some(TlsOptions {
            alpn: own.alpn,
            ..tls
        })),
        None => Ok(url.secure.then_some(own)),
    }
}

fn origin(options: &Options) -> Result<Origin, Error> {
    if let Some(attribute) = options.attributes.first() {
        let key = one_line(&attribute.key, 64);
        return Err(invalid(format!("there is no option {key}")));
    }
    let source = options.source.as_deref().map(|text| {
        peer_address(text).ok_or_else(|| invalid("the source is no address".to_owned()))
    });
    Ok(Origin {
        source: source.transpose()?,
        fwmark: options.fwmark,
    })
}

fn peer(to: &Endpoint) -> Result<SocketAddr, Error> {
    let address = peer_address(&to.address)
        .filter(|_| to.port > 0)
        .ok_or_else(|| invalid("connect-to is no address and port".to_owned()))?;
    Ok(SocketAddr::new(address, to.port))
}

/// Fields that are what they look like: nothing in them ends a line or the head.
fn fields(attributes: &[Attribute]) -> Result<HeaderMap, Error> {
    if attributes.len() > FIELDS {
        return Err(invalid(format!("more than {FIELDS} headers")));
    }
    let size: usize = attributes
        .iter()
        .map(|field| field.key.len() + field.value.len() + 4)
        .sum();
    if size > fetch::HEAD {
        let most = fetch::HEAD;
        return Err(invalid(format!("headers of more than {most} bytes")));
    }
    let mut fields = HeaderMap::new();
    for Attribute { key, value } in attributes {
        let name = HeaderName::from_bytes(key.as_bytes())
            .map_err(|_| invalid("a header's name is none".to_owned()))?;
        if fetch::is_hosts_own(&name) {
            return Err(invalid(format!("the header {name} is the host's")));
        }
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| invalid(format!("the header {name} holds what no header may")))?;
        fields.append(name, value);
    }
    Ok(fields)
}

fn answer(response: fetch::Response) -> Response {
    let headers = response
        .head
        .headers
        .iter()
        .map(|(name, value)| Attribute {
            key: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect();
    Response {
        status: response.head.status.as_u16(),
        headers,
        body: response.body,
        truncated: response.truncated,
        elapsed_us: u64::try_from(response.elapsed.as_micros()).unwrap_or(u64::MAX),
        attributes: Vec::new(),
    }
}

fn invalid(why: String) -> Error {
    Error::InvalidRequest(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(key: &str, value: &str) -> Result<HeaderMap, Error> {
        fields(&[Attribute {
            key: key.to_owned(),
            value: value.to_owned(),
        }])
    }

    #[test]
    fn no_header_frames_or_ends_a_request() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "CONNECTION",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "upgrade",
            "expect",
            "",
            "a b",
            "a:b",
            "a\r\nb",
            "content-length ",
            "ü",
        ] {
            assert!(field(name, "1").is_err(), "{name:?}");
        }
        for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
            assert!(field("x", value).is_err(), "{value:?}");
        }
        assert_eq!(
            field("X-A", "ü\tb").unwrap()["x-a"].as_bytes(),
            "ü\tb".as_bytes()
        );
    }

    #[test]
    fn headers_are_bounded() {
        let many = vec![
            Attribute {
                key: "a".into(),
                value: String::new()
            };
            FIELDS + 1
        ];
        assert!(fields(&many).is_err());
        assert!(fields(&many[1..]).is_ok());
        assert!(field("a", &"x".repeat(fetch::HEAD)).is_err());
    }
}
