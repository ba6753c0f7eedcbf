//! Which URLs a plugin may ask for, and of whom.

use std::net::SocketAddr;

use mainstay_protocol::{HttpGrant, HttpUrl, Origin, UrlHosts, opens};

use crate::grant_line;

/// `permissions.http` or `permissions.wasi-http`.
#[derive(Clone, Debug, Default)]
pub(crate) struct UrlGrant(HttpGrant);

impl UrlGrant {
    /// Takes over a grant of the configuration.
    #[must_use]
    pub(crate) fn new(spec: HttpGrant) -> Self {
        Self(spec)
    }

    /// Bytes of a body that are kept, at most.
    #[must_use]
    pub(crate) fn max_body(&self) -> u32 {
        self.0.max_body
    }

    /// Whether certificates may go unverified.
    #[must_use]
    pub(crate) fn unverified_tls(&self) -> bool {
        self.0.unverified_tls
    }

    /// Whether this name is granted for such a URL, so that its addresses may be looked for. A
    /// question for a name is itself a message to whoever answers for the name.
    #[must_use]
    pub(crate) fn names(&self, url: &HttpUrl, name: &str) -> bool {
        self.0.urls.iter().any(|prefix| {
            let named = matches!(prefix.hosts(), UrlHosts::Name(granted) if granted == name);
            named && prefix.covers(url.secure, url.port, url.path())
        })
    }

    /// Whether this peer is granted by its address for such a URL, whatever host the URL names.
    #[must_use]
    pub(crate) fn covers(&self, url: &HttpUrl, peer: SocketAddr) -> bool {
        self.0.urls.iter().any(|prefix| {
            let granted = matches!(prefix.hosts(), UrlHosts::Network(net) if opens(net, peer.ip()));
            granted && prefix.covers(url.secure, peer.port(), url.path())
        })
    }

    /// Whether a request may come from there.
    #[must_use]
    pub(crate) fn allows_origin(&self, origin: &Origin) -> bool {
        self.0.allows_origin(origin)
    }

    /// The line of the configuration that grants what is granted already, and what `amend` adds.
    #[must_use]
    pub(crate) fn line(&self, key: &str, amend: impl FnOnce(&mut HttpGrant)) -> String {
        let mut wanted = self.0.clone();
        amend(&mut wanted);
        grant_line::urls(key, &wanted)
    }
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::UrlPrefix;

    use super::*;

    fn grant(urls: &[&str]) -> UrlGrant {
        UrlGrant::new(HttpGrant {
            urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
            ..HttpGrant::default()
        })
    }

    fn covers(grant: &UrlGrant, url: &str, peer: &str) -> bool {
        grant.covers(&url.parse().unwrap(), peer.parse().unwrap())
    }

    fn names(grant: &UrlGrant, url: &str) -> bool {
        let url: HttpUrl = url.parse().unwrap();
        let mainstay_protocol::UrlHost::Name(name) = &url.host else {
            panic!("no name");
        };
        grant.names(&url, name)
    }

    #[test]
    fn an_address_is_granted_for_any_virtual_host() {
        let grant = grant(&["http://10.0.0.0/24:80/healthz"]);
        assert!(covers(&grant, "http://10.0.0.7/healthz", "10.0.0.7:80"));
        assert!(covers(
            &grant,
            "http://shop.example/healthz?full",
            "10.0.0.7:80"
        ));
        assert!(!covers(&grant, "http://10.0.0.7/", "10.0.0.7:80"));
        assert!(!covers(&grant, "https://10.0.0.7/healthz", "10.0.0.7:80"));
        assert!(!covers(&grant, "http://10.0.0.7/healthz", "10.0.0.7:81"));
        assert!(!covers(&grant, "http://10.0.0.7/healthz", "10.0.1.7:80"));
        assert!(!names(&grant, "http://shop.example/healthz"));
    }

    #[test]
    fn a_name_is_granted_as_itself_only_and_names_no_address() {
        let grant = grant(&["https://www.example.com/a"]);
        assert!(names(&grant, "https://www.example.com/a/b"));
        assert!(names(&grant, "https://WWW.EXAMPLE.com:443/a"));
        for url in [
            "https://example.com/a",
            "https://www.example.com.evil.example/a",
            "https://www.example.com/",
            "https://www.example.com:444/a",
            "http://www.example.com/a",
        ] {
            assert!(!names(&grant, url), "{url}");
        }
        assert!(!covers(&grant, "https://www.example.com/a", "10.0.0.1:443"));
    }

    /// Threat 21: a grant for everything is none for this machine and its metadata.
    #[test]
    fn t21_special_addresses_are_granted_only_when_named() {
        let wide = grant(&["http://0.0.0.0/0:80/", "http://[::]/0:80/"]);
        for peer in [
            "127.0.0.1:80",
            "169.254.169.254:80",
            "[::1]:80",
            "[fe80::1]:80",
            "[fd00:ec2::254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
        ] {
            assert!(!covers(&wide, "http://a/", peer), "{peer}");
        }
        assert!(covers(&wide, "http://a/", "8.8.8.8:80"));
        let named = grant(&["http://127.0.0.1/", "http://169.254.169.254/"]);
        assert!(covers(&named, "http://a/", "127.0.0.1:80"));
        assert!(covers(&named, "http://a/", "169.254.169.254:80"));
        assert!(!covers(&named, "http://a/", "127.0.0.2:80"));
    }

    #[test]
    fn the_line_keeps_what_is_granted_already() {
        let mut spec = HttpGrant {
            urls: vec!["http://10.0.0.1/".parse().unwrap()],
            max_body: 9,
            unverified_tls: true,
            fwmarks: vec![7],
            ..HttpGrant::default()
        };
        let url: HttpUrl = "https://a.example:8443/x?secret=1".parse().unwrap();
        let line = UrlGrant::new(spec.clone()).line("wasi-http", |grant| {
            grant.urls.push(UrlPrefix::of(&url, None));
            grant.sources.push([10, 0, 0, 9].into());
        });
        assert_eq!(
            line,
            r#"permissions.wasi-http = { urls = ["http://10.0.0.1/", "https://a.example:8443/x"], max-body = "9B", unverified-tls = true, sources = ["10.0.0.9"], fwmarks = [7] }"#
        );
        spec = HttpGrant::default();
        let peer = "[2001:db8::1]:8443".parse().unwrap();
        let line = UrlGrant::new(spec).line("http", |grant| {
            grant.urls.push(UrlPrefix::of(&url, Some(peer)));
        });
        assert_eq!(
            line,
            r#"permissions.http = { urls = ["https://[2001:db8::1]:8443/x"] }"#
        );
    }
}
