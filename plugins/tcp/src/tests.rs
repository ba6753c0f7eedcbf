use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

fn settings(address: &str, port: u16) -> Settings {
    Settings {
        address: address.to_owned(),
        port,
        timeout: None,
    }
}

fn pointers(settings: &Settings) -> Vec<String> {
    Connects::validate(settings)
        .into_iter()
        .map(|problem| problem.pointer)
        .collect()
}

fn unhealthy(error: probe::Error) -> String {
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    let report = verdict(target, Err(error)).expect("a verdict");
    assert_eq!(report.status, Status::Unhealthy);
    report.message
}

#[test]
fn a_connection_is_healthy_and_timed() {
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    let report = verdict(target, Ok(Duration::from_micros(1500))).expect("a verdict");
    assert_eq!(report.status, Status::Healthy);
    assert_eq!(report.message, "10.0.0.1:80 accepts connections, 1.5 ms");
    assert_eq!(
        (report.metrics[0].name.as_str(), report.metrics[0].value),
        ("connect_seconds", 0.0015)
    );
}

#[test]
fn what_the_peer_does_is_a_verdict() {
    assert_eq!(
        unhealthy(probe::Error::Refused),
        "10.0.0.1:80 refuses connections"
    );
    assert_eq!(
        unhealthy(probe::Error::TimedOut),
        "10.0.0.1:80 does not answer"
    );
    assert_eq!(
        unhealthy(probe::Error::Unreachable),
        "10.0.0.1:80 is unreachable"
    );
}

#[test]
fn a_probe_that_could_not_be_made_is_an_error() {
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    for error in [
        probe::Error::NotPermitted,
        probe::Error::TooMany,
        probe::Error::InvalidAddress,
        probe::Error::Other,
    ] {
        assert!(verdict(target, Err(error)).is_err(), "{error:?}");
    }
}

#[test]
fn the_timeout_leaves_room_for_the_verdict() {
    assert_eq!(patience(None, 1000 * MILLISECOND), 900 * MILLISECOND);
    assert_eq!(
        patience(Some(Span(200 * MILLISECOND)), 1000 * MILLISECOND),
        200 * MILLISECOND
    );
    assert_eq!(
        patience(Some(Span(5000 * MILLISECOND)), 1000 * MILLISECOND),
        900 * MILLISECOND
    );
}

#[test]
fn problems_point_to_their_setting() {
    assert_eq!(pointers(&settings("10.0.0.1", 80)), Vec::<String>::new());
    assert_eq!(pointers(&settings("2001:db8::1", 80)), Vec::<String>::new());
    assert_eq!(pointers(&settings("example.org", 80)), ["/address"]);
    assert_eq!(pointers(&settings("10.0.0.0/24", 0)), ["/address", "/port"]);
    let instant = Settings {
        timeout: Some(Span(Duration::ZERO)),
        ..settings("10.0.0.1", 80)
    };
    assert_eq!(pointers(&instant), ["/timeout"]);
}
