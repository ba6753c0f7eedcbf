use super::*;

fn prefix(text: &str) -> UrlPrefix {
    text.parse().unwrap()
}

#[test]
fn a_url_is_read_into_what_is_asked_whom() {
    let url: HttpUrl = "https://WWW.Example.com/a/b?c=%2F".parse().unwrap();
    assert_eq!(url.host, UrlHost::Name("www.example.com".into()));
    assert_eq!((url.secure, url.port, url.path()), (true, 443, "/a/b"));
    assert_eq!(url.target().as_str(), "/a/b?c=%2F");
    assert_eq!(url.authority(), "www.example.com");
    let url: HttpUrl = "http://[::ffff:10.0.0.1]:8080".parse().unwrap();
    assert_eq!(url.host, UrlHost::Address([10, 0, 0, 1].into()));
    assert_eq!(url.authority(), "10.0.0.1:8080");
    assert_eq!(url.target().as_str(), "/");
    let url: HttpUrl = "http://[2001:db8::1]/x".parse().unwrap();
    assert_eq!(url.authority(), "[2001:db8::1]");
    assert_eq!(url.to_string(), "http://[2001:db8::1]/x");
    // A name of a virtual host of a message broker is one encoded slash.
    "http://a/api/queues/%2F/q".parse::<HttpUrl>().unwrap();
}

/// Threat 20: whatever some other reader would take for an address of this machine.
#[test]
fn t20_odd_spellings_of_hosts_are_refused() {
    for host in [
        "0x7f.1",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "2130706433",
        "127.0.0.1.",
        "127.0.0.01",
        "127.0.0.256",
        "1.2.3.4.5",
        "0",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.18",
        "[::]",
        "[::ffff:0.0.0.0]",
        "[ff02::1]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[::1",
        "::1",
        "[127.0.0.1]",
        "[::1]x",
        "[::1]:",
        "[v1.x]",
        "user@127.0.0.1",
        "user:pass@a",
        "a@b@c",
        "a%2eb",
        "%31%32%37.0.0.1",
        "ｅxample.com",
        "①②⑦.⓪.⓪.①",
        "a..b",
        ".a",
        "-a",
        "a-",
        "a b",
        "a\tb",
        "a\\b",
        "a:80:80",
        "a:",
        "a:0",
        "a:080",
        "a:65536",
        "a:+80",
        "a:-1",
        "",
        ":80",
        "a#b",
        "x.0x7f",
        "x.0X7F",
    ] {
        assert!(
            format!("http://{host}/").parse::<HttpUrl>().is_err(),
            "{host}"
        );
        assert!(
            format!("http://{host}/").parse::<UrlPrefix>().is_err(),
            "{host}"
        );
    }
    let label = "a".repeat(64);
    assert!(format!("http://{label}/").parse::<HttpUrl>().is_err());
}

#[test]
fn what_is_no_absolute_url_is_refused() {
    for text in [
        "",
        "/",
        "http",
        "http:/a/",
        "http:a",
        "http:///a",
        "//a/",
        "HTTP://a/",
        "ftp://a/",
        "file:///etc/passwd",
        "http://a/#x",
        "http://a/ ",
        " http://a/",
        "http://a/\r\nx",
        "http://a/ü",
        "http:\\\\a/",
        "javascript://a/",
        "http://a/b c",
    ] {
        assert!(text.parse::<HttpUrl>().is_err(), "{text}");
    }
    let long = format!("http://a/{}", "x".repeat(LONGEST_URL));
    assert_eq!(long.parse::<HttpUrl>(), Err(UrlError::Long));
}

#[test]
fn a_path_that_leads_up_is_refused_in_every_spelling() {
    for path in [
        "/a/../b",
        "/..",
        "/.",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/..%2fb",
        "/a%2f..%2fb",
        "/a/%252e%252e/b",
        "/a/%25252e%25252e/b",
        "/a/%2525252525252e%2e/b",
        "/a/..;x=1/b",
        "/a/%2e%2e;/b",
        "/a/..%5cb",
        "/a%5c..%5cb",
        "/a/%00",
        "/a/%0d%0ax",
        "/a/%250a",
    ] {
        let url = format!("http://a{path}");
        assert_eq!(url.parse::<HttpUrl>(), Err(UrlError::Path), "{path}");
    }
    for path in ["/a.b", "/..a", "/a..", "/...", "/%", "/%zz", "/a?x=../.."] {
        format!("http://a{path}").parse::<HttpUrl>().unwrap();
    }
}

#[test]
fn a_prefix_covers_whole_segments_below_it() {
    let health = prefix("http://10.0.0.0/24:80/healthz");
    for path in ["/healthz", "/healthz/", "/healthz/live"] {
        assert!(health.covers(false, 80, path), "{path}");
    }
    for path in [
        "/",
        "/healthzx",
        "/health",
        "/Healthz",
        "/x/healthz",
        "/healthz;x",
    ] {
        assert!(!health.covers(false, 80, path), "{path}");
    }
    assert!(!health.covers(true, 80, "/healthz"));
    assert!(!health.covers(false, 81, "/healthz"));
    let all = prefix("https://www.example.com");
    assert!(all.covers(true, 443, "/anything"));
    let below = prefix("http://a/api/");
    assert!(below.covers(false, 80, "/api/x"));
    assert!(!below.covers(false, 80, "/api"));
}

#[test]
fn a_prefix_includes_those_that_cover_less() {
    let wide = prefix("http://10.0.0.0/24:80/a");
    for text in ["http://10.0.0.0/24:80/a", "http://10.0.0.7/a/b"] {
        assert!(wide.includes(&prefix(text)), "{text}");
    }
    for text in [
        "http://10.0.0.0/23:80/a",
        "http://10.0.0.7/ab",
        "http://10.0.0.7:81/a",
        "https://10.0.0.7:80/a",
        "http://a/a",
    ] {
        assert!(!wide.includes(&prefix(text)), "{text}");
    }
    let everything = prefix("http://0.0.0.0/0:80/");
    assert!(!everything.includes(&prefix("http://127.0.0.1/")));
    assert!(prefix("http://a/").includes(&prefix("http://A/b")));
}

#[test]
fn a_prefix_is_written_as_it_is_read() {
    for text in [
        "http://10.0.0.0/24:80/healthz",
        "http://10.0.0.1/",
        "http://10.0.0.1:8080/a",
        "https://www.example.com/",
        "http://[2001:db8::]/64:80/",
        "http://[2001:db8::1]:81/",
        "http://10.0.0.1/32:80/24",
    ] {
        assert_eq!(prefix(text).to_string(), text);
    }
    assert_eq!(
        prefix("http://10.0.0.9/24:80").hosts(),
        &UrlHosts::Network("10.0.0.0/24".parse().unwrap())
    );
    assert_eq!(
        prefix("http://[::ffff:10.0.0.0]/120:80/").to_string(),
        "http://10.0.0.0/24:80/"
    );
}

#[test]
fn a_prefix_is_made_of_a_url_or_of_whom_it_reached() {
    let url: HttpUrl = "https://a.example/x?y".parse().unwrap();
    assert_eq!(UrlPrefix::of(&url, None).to_string(), "https://a.example/x");
    let peer = "10.0.0.7:8443".parse().unwrap();
    let by_address = UrlPrefix::of(&url, Some(peer));
    assert_eq!(by_address.to_string(), "https://10.0.0.7:8443/x");
    assert!(by_address.reaches(peer));
    let named = prefix("https://a.example:8443/");
    assert!(named.reaches(peer));
    assert!(!named.reaches("127.0.0.1:8443".parse().unwrap()));
    assert!(!named.reaches("10.0.0.7:443".parse().unwrap()));
}

#[test]
fn what_is_no_prefix_says_why() {
    for (text, error) in [
        ("http://10.0.0.0/24", UrlError::NetworkWithoutPort),
        ("http://10.0.0.0/24/", UrlError::NetworkWithoutPort),
        ("http://10.0.0.0/33:80/", UrlError::NetworkWithoutPort),
        ("http://10.0.0.0/24:0/", UrlError::NetworkWithoutPort),
        ("http://[2001:db8::]/129:80/x", UrlError::NetworkWithoutPort),
        ("http://a/?x=1", UrlError::Query),
        ("http://10.0.0.0/24:80/?x", UrlError::Query),
        ("http://10.0.0.0/24:80/../x", UrlError::Path),
        ("10.0.0.1:80", UrlError::Scheme),
        ("http://u@a/", UrlError::User),
    ] {
        assert_eq!(text.parse::<UrlPrefix>(), Err(error), "{text}");
    }
}
