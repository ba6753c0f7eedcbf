use super::authorities::OWN;
use super::*;
use crate::bindings::common::Attribute;

fn options() -> TlsOptions {
    TlsOptions {
        server_name: "example.org".to_owned(),
        verify: false,
        authorities: None,
        alpn: Vec::new(),
        attributes: Vec::new(),
    }
}

/// What is wrong with these options, on a machine without authorities.
fn fault(change: impl FnOnce(&mut TlsOptions)) -> Option<String> {
    let mut options = options();
    change(&mut options);
    let made = Tls::new(SystemAuthorities::default()).client(&options);
    made.err().map(|error| match error {
        TlsError::Invalid(why) => format!("invalid: {why}"),
        TlsError::Failed(why) => why,
    })
}

#[test]
fn options_that_make_no_sense_are_named() {
    let known: [(&str, Option<String>); 6] = [
        ("no name", fault(|o| o.server_name = "no name".to_owned())),
        ("0 bytes", fault(|o| o.alpn = vec![String::new()])),
        ("9 protocols", fault(|o| o.alpn = vec!["h2".to_owned(); 9])),
        ("junk", fault(|o| o.authorities = Some(b"junk".to_vec()))),
        ("much", fault(|o| o.authorities = Some(vec![b'x'; OWN + 1]))),
        (
            "attribute",
            fault(|o| {
                o.attributes = vec![Attribute {
                    key: "x".to_owned(),
                    value: String::new(),
                }];
            }),
        ),
    ];
    for (what, fault) in known {
        let fault = fault.unwrap_or_else(|| panic!("{what} was taken"));
        assert!(fault.starts_with("invalid: "), "{what}: {fault}");
    }
}

#[test]
fn addresses_are_names_too() {
    for name in ["192.0.2.1", "2001:db8::1", "example.org"] {
        assert_eq!(fault(|o| o.server_name = name.to_owned()), None);
    }
}

#[test]
fn without_authorities_only_unverified_handshakes_are_made() {
    assert_eq!(fault(|_| {}), None);
    let fault = fault(|o| o.verify = true).unwrap();
    assert!(
        fault.contains("no file of certificate authorities"),
        "{fault}"
    );
}
