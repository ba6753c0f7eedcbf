use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use mainstay_core::address::Family;
use mainstay_core::event::RouterState;
use mainstay_core::status::{CheckState, PeerStatus, Priority, RouterCounters, Status};
use mainstay_core::time::Realtime;

use super::*;
use crate::control::RefusedReload;

const SINCE: u64 = 1_795_341_600_000;

fn document() -> StatusDocument {
    let router = RouterStatus {
        name: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        family: Family::Ipv4,
        id: 51,
        state: RouterState::Backup,
        phase: Some(Phase::Releasing),
        since_unix_ms: Realtime(SINCE),
        priority: Priority {
            base: 100,
            effective: 80,
            reason: Some("check nginx -20: none running".to_owned()),
        },
        active_router: Some([192, 168, 1, 102].into()),
        addresses: vec!["192.168.1.100/24".parse().unwrap()],
        holds_addresses: false,
        faults: vec!["check nginx: none running".to_owned()],
        warnings: vec!["the weight changes nothing".to_owned()],
        cause: "192.168.1.102 advertised priority 90, own was 80".to_owned(),
        peer: Some(PeerStatus {
            address: [192, 168, 1, 102].into(),
            priority: 90,
            heard_unix_ms: Realtime(SINCE + 64_000),
        }),
        counters: RouterCounters {
            rejected: BTreeMap::from([("checksum".to_owned(), 3)]),
            ..RouterCounters::default()
        },
    };
    let check = CheckStatus {
        plugin: "process".to_owned(),
        name: "nginx".to_owned(),
        status: CheckState::Unhealthy,
        in_service: false,
        message: "none running\u{1b}[2J".to_owned(),
        runs: 42,
        errors: 1,
        last_run_seconds: 0.0004,
    };
    StatusDocument {
        node: "a".to_owned(),
        version: "0.1.0".to_owned(),
        uptime_seconds: 75.5,
        refused_reload: None,
        engine: Status {
            routers: vec![router],
            checks: vec![check],
            interfaces: Vec::new(),
        },
        plugins: Vec::new(),
        worker: crate::worker::WorkerStatus::default(),
        packets_dropped: 0,
        log_lines_dropped: 0,
    }
}

#[test]
fn people_see_what_is_active_why_and_since_when() {
    let now = UNIX_EPOCH + Duration::from_millis(SINCE + 65_000);
    assert_eq!(
        render(&document(), now),
        "\
node a, mainstay 0.1.0, up 1m 15s

ROUTER  INTERFACE  ID  STATE               PRIORITY   ACTIVE ROUTER  SINCE
VI_1    eth0       51  backup (releasing)  100 -> 80  192.168.1.102  1m 5s ago, 2026-11-22T10:00:00.000Z

VI_1
  addresses  192.168.1.100/24 (not here)
  why        192.168.1.102 advertised priority 90, own was 80
  priority   100 -> 80: check nginx -20: none running
  peer       192.168.1.102 with priority 90, heard 1s ago
  fault      check nginx: none running
  warning    the weight changes nothing
  rejected   checksum 3

CHECK  STATUS     IN SERVICE  RUNS  ERRORS  LAST RUN  MESSAGE
nginx  unhealthy  no          42    1       0.4 ms    none running\\u{1b}[2J
"
    );
}

#[test]
fn a_worker_that_was_started_again_is_counted_in_words() {
    for (restarts, expected) in [(1, "started again once;"), (2, "started again 2 times;")] {
        let mut document = document();
        document.worker.restarts = restarts;
        let text = worker(&document);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_refused_reload_is_seen_until_one_succeeds() {
    let refused = RefusedReload {
        at_unix_ms: Realtime(SINCE),
        problems: vec!["m.toml:1:1: nonsense\u{7}".to_owned()],
    };
    let document = StatusDocument {
        refused_reload: Some(refused),
        ..document()
    };
    let text = render(&document, UNIX_EPOCH);
    let wanted = "
the files are not what is in force: the reload at 2026-11-22T10:00:00.000Z was refused
  m.toml:1:1: nonsense\\u{7}
";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn json_has_the_keys_that_tools_rely_on() {
    let mut value = serde_json::to_value(document()).unwrap();
    times::readable(&mut value);
    assert_eq!(value["node"], "a");
    assert_eq!(value["uptime-seconds"], 75.5);
    let router = &value["routers"][0];
    assert_eq!(router["state"], "backup");
    assert_eq!(router["phase"], "releasing");
    assert_eq!(router["family"], "ipv4");
    assert_eq!(router["since"], "2026-11-22T10:00:00.000Z");
    assert_eq!(router["priority"]["base"], 100);
    assert_eq!(router["priority"]["effective"], 80);
    assert_eq!(router["peer"]["heard"], "2026-11-22T10:01:04.000Z");
    assert_eq!(router["active-router"], "192.168.1.102");
    assert_eq!(router["addresses"][0], "192.168.1.100/24");
    assert_eq!(value["checks"][0]["status"], "unhealthy");
    assert_eq!(value["checks"][0]["last-run-seconds"], 0.0004);
}
