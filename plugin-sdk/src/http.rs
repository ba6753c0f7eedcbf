//! Requests that the host makes for the plugin. Needs `permissions.http`, unless it connects to the target of the run.
//!
//! ```no_run
//! use std::time::Duration;
//! use mainstay_plugin::http;
//! # fn check(target: &mainstay_plugin::Endpoint) -> Result<(), http::Error> {
//! let response = http::Request::get("http://shop.example/healthz")
//!     .connect_to(target)
//!     .timeout(Duration::from_millis(500))
//!     .send()?;
//! let healthy = response.status == 200 && response.text().starts_with("ok");
//! # Ok(())
//! # }
//! ```

use std::borrow::Cow;
use std::time::Duration;

use crate::bindings::host::mainstay::plugin::http as wit;
use crate::bindings::host::mainstay::plugin::network::{Options, TlsOptions};
use crate::{Attribute, Endpoint};

#[doc(inline)]
pub use wit::{Error, Response};

/// A request, and how it is made. Redirects are not followed.
#[derive(Clone, Debug)]
#[must_use = "it does nothing before `send`"]
pub struct Request(wit::Request);

impl Request {
    /// A `GET` of an absolute http or https URL, without user, password and fragment.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `HEAD` of such a URL.
    pub fn head(url: impl Into<String>) -> Self {
        Self::new("HEAD", url)
    }

    /// A `POST` of at most 64 KiB to such a URL.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// A request with any method but `CONNECT`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self(wit::Request {
            method: method.into(),
            url: url.into(),
            connect_to: None,
            headers: Vec::new(),
            body: None,
            tls: None,
            // The host cuts both to what there is.
            options: Options::timeout(Duration::MAX),
            max_body: u32::MAX,
        })
    }

    /// Connects there instead of to the URL's host, which then only names the virtual host.
    pub fn connect_to(mut self, endpoint: &Endpoint) -> Self {
        self.0.connect_to = Some(endpoint.clone());
        self
    }

    /// Adds a header; at most 64. Those that frame the message, and `host`, are the host's.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push(Attribute {
            key: name.into(),
            value: value.into(),
        });
        self
    }

    /// Sends a body; at most 64 KiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = Some(body.into());
        self
    }

    /// Checks the certificate in another way than for the URL's host and by the system's authorities.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.0.tls = Some(tls);
        self
    }

    /// Gives up after that; without it, when the time of the run is over.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.options.timeout_ms = Options::timeout(timeout).timeout_ms;
        self
    }

    /// Keeps that many bytes of the body; never more than the grant says, which is also what is kept without it.
    pub fn max_body(mut self, bytes: u32) -> Self {
        self.0.max_body = bytes;
        self
    }

    /// Makes the request and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// What came of it. A response is none, whatever its status.
    pub fn send(&self) -> Result<Response, Error> {
        wit::fetch(&self.0)
    }
}

impl Response {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|header| header.key.eq_ignore_ascii_case(name))?;
        Some(&header.value)
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// Gets an absolute URL: [`Request::get`] and [`Request::send`].
///
/// # Errors
///
/// As [`Request::send`].
pub fn get(url: impl Into<String>) -> Result<Response, Error> {
    Request::get(url).send()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_in_any_case() {
        let response = Response {
            status: 200,
            headers: vec![Attribute {
                key: "content-type".into(),
                value: "text/plain".into(),
            }],
            body: b"o\xffk".to_vec(),
            truncated: false,
            elapsed_us: 1,
            attributes: Vec::new(),
        };
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        assert_eq!(response.header("x"), None);
        assert_eq!(response.text(), "o\u{fffd}k");
    }
}
