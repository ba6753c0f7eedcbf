//! Whatever comes in, in whatever order: the engine does not panic, does not spin, does not act
//! without end, and keeps answering questions.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use mainstay_core::Engine;
use mainstay_core::action::{ActionId, Effect};
use mainstay_core::address::{Family, InterfaceIndex, Prefix};
use mainstay_core::event::RouterState;
use mainstay_core::input::{
    Address, Command, Failure, Input, Link, Mark, Outcome, Packet, Snapshot, Status, Verdict,
    WeightChange,
};
use mainstay_core::record::{CheckRecord, Legacy, Record, RouterKey, RouterRecord};
use mainstay_core::settings::{
    AnnounceSettings, Authentication, CheckSettings, ChecksumForm, Initial, OnError, Password,
    RouterSettings, Settings, Track, Version,
};
use mainstay_core::time::{Now, Realtime, Time};
use mainstay_core::wire::vrrp::{GROUP, Outgoing, emit};
use proptest::collection::vec;
use proptest::prelude::*;

const INTERFACES: [&str; 2] = ["eth0", "eth1"];
const CHECKS: [&str; 2] = ["nginx", "haproxy"];

/// Actions that one input may lead to: a few for each of the routers that can be there.
const ACTIONS: usize = 100;

/// Ticks until every deadline lies in the future.
const TICKS: usize = 20;

fn index() -> impl Strategy<Value = InterfaceIndex> {
    (1..4u32).prop_map(InterfaceIndex)
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (0..6u8, prop_oneof![Just(24u8), Just(32u8)]).prop_map(|(host, length)| {
        Prefix::new(Ipv4Addr::new(192, 168, 1, host), length).expect("at most 32")
    })
}

fn time() -> impl Strategy<Value = Time> {
    (0..4_000_000u64).prop_map(|ms| Time::from_boot(Duration::from_millis(ms)))
}

fn authentication() -> impl Strategy<Value = Authentication> {
    prop_oneof![
        Just(Authentication::None),
        Just(Authentication::Pass(Password::from_wire(*b"s3cret\0\0"))),
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    let valid = (
        prop_oneof![Just(Version::V2), Just(Version::V3)],
        1..4u8,
        any::<u8>(),
        vec(prefix(), 1..4),
        authentication(),
        0..6u8,
        prop_oneof![Just(1_000u64), 10..41_000u64],
    )
        .prop_map(
            |(version, id, priority, addresses, authentication, host, milliseconds)| {
                let source = Ipv4Addr::new(192, 168, 1, host);
                let addresses: Vec<Ipv4Addr> = addresses.iter().map(|p| p.address()).collect();
                let bytes = emit(&Outgoing {
                    version,
                    id: NonZeroU8::new(id).expect("not zero"),
                    priority,
                    interval: Duration::from_millis(milliseconds),
                    addresses: &addresses,
                    authentication: &authentication,
                    checksum: ChecksumForm::PseudoHeader,
                    source,
                    destination: GROUP,
                });
                (source, bytes)
            },
        );
    let random = (any::<u32>(), vec(any::<u8>(), 0..80))
        .prop_map(|(source, bytes)| (Ipv4Addr::from_bits(source), bytes));
    (
        prop_oneof![4 => valid, 1 => random],
        index(),
        prop_oneof![4 => Just(255u8), 1 => any::<u8>()],
        time(),
    )
        .prop_map(
            |((source, bytes), interface, hop_limit, received_at)| Packet {
                interface,
                source,
                destination: GROUP,
                hop_limit,
                received_at,
                bytes,
            },
        )
}

fn link() -> impl Strategy<Value = Link> {
    (
        index(),
        prop::sample::select(&INTERFACES),
        any::<bool>(),
        prop::option::of(any::<[u8; 6]>()),
    )
        .prop_map(|(index, name, running, mac)| Link {
            index,
            name: name.to_owned(),
            mac,
            running,
        })
}

fn address() -> impl Strategy<Value = Address> {
    let mark = prop_oneof![Just(Mark::Ours), Just(Mark::Other), Just(Mark::Unknown)];
    (index(), prefix(), mark, any::<bool>()).prop_map(|(interface, prefix, mark, secondary)| {
        Address {
            interface,
            prefix,
            mark,
            secondary,
        }
    })
}

fn weight() -> impl Strategy<Value = WeightChange> {
    prop_oneof![
        Just(WeightChange::Unchanged),
        any::<u32>().prop_map(WeightChange::Set),
        any::<i32>().prop_map(WeightChange::Offset),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let status = prop_oneof![
        Just(Status::Healthy),
        Just(Status::Degraded),
        Just(Status::Unhealthy)
    ];
    let outcome = prop_oneof![
        3 => (status, weight(), ".{0,300}").prop_map(|(status, weight, message)| {
            Outcome::Report { status, weight, message }
        }),
        1 => ".{0,20}".prop_map(|message| Outcome::Fault { message }),
        1 => ".{0,20}".prop_map(|message| Outcome::NotRun { message }),
    ];
    (prop::sample::select(&CHECKS), 1..4u64, outcome).prop_map(|(check, generation, outcome)| {
        Verdict {
            check: check.to_owned(),
            generation,
            outcome,
            took: Duration::from_millis(1),
        }
    })
}

fn router() -> impl Strategy<Value = RouterSettings> {
    (
        prop::sample::select(&INTERFACES),
        1..4u8,
        prop_oneof![Just(Version::V2), Just(Version::V3)],
        1..=255u8,
        any::<bool>(),
        1..=100u8,
        authentication(),
        vec(prefix(), 1..3),
        vec(
            (
                prop::sample::select(&CHECKS),
                prop::option::of(-253..=253i16),
            ),
            0..3,
        ),
        (0..6u8, 0..6u64),
    )
        .prop_map(
            |(interface, id, version, priority, preempt, adverts, auth, addresses, track, arp)| {
                RouterSettings {
                    name: format!("{interface}-{id}"),
                    interface: interface.to_owned(),
                    id: NonZeroU8::new(id).expect("not zero"),
                    family: Family::Ipv4,
                    version,
                    priority: NonZeroU8::new(priority).expect("not zero"),
                    advert_interval: match version {
                        Version::V2 => Duration::from_secs(1),
                        Version::V3 => Duration::from_millis(10),
                    },
                    preempt,
                    down_timer_adverts: adverts,
                    authentication: auth,
                    checksum: ChecksumForm::MessageOnly,
                    addresses,
                    track: track
                        .into_iter()
                        .map(|(check, weight)| Track {
                            check: check.to_owned(),
                            weight,
                        })
                        .collect(),
                    announce: AnnounceSettings {
                        repeat: arp.0,
                        delay: Duration::from_secs(arp.1),
                    },
                }
            },
        )
}

fn check(name: &str, kind: u8) -> CheckSettings {
    CheckSettings {
        plugin: "process".to_owned(),
        name: name.to_owned(),
        identity: [kind; 32],
        rise: 1 + u32::from(kind % 3),
        fall: 1 + u32::from(kind % 2),
        initial: match kind % 2 {
            0 => Initial::Healthy,
            _ => Initial::Unhealthy,
        },
        on_error: match kind % 3 {
            0 => OnError::Keep,
            1 => OnError::Fail,
            _ => OnError::Pass,
        },
        stale_after: Duration::from_secs(5),
    }
}

/// Settings with the promises that the configuration keeps: identities and names are unique, and
/// every tracked check is there.
fn settings() -> impl Strategy<Value = Settings> {
    (1..4u64, vec(router(), 0..4), any::<[u8; 2]>()).prop_map(|(generation, routers, kinds)| {
        let mut unique: Vec<RouterSettings> = Vec::new();
        for router in routers {
            if unique.iter().all(|known| known.name != router.name) {
                unique.push(router);
            }
        }
        Settings {
            generation,
            routers: unique,
            checks: CHECKS
                .iter()
                .zip(kinds)
                .map(|(name, kind)| check(name, kind))
                .collect(),
        }
    })
}

fn input() -> impl Strategy<Value = Input> {
    let failure = Failure {
        errno: Some(1),
        message: "no".to_owned(),
    };
    let result = prop_oneof![3 => Just(Ok(())), 1 => Just(Err(failure))];
    prop_oneof![
        6 => packet().prop_map(Input::Packet),
        3 => link().prop_map(Input::Link),
        1 => index().prop_map(Input::LinkGone),
        3 => address().prop_map(Input::Address),
        1 => (index(), prefix())
            .prop_map(|(interface, prefix)| Input::AddressGone { interface, prefix }),
        1 => (vec(link(), 0..3), vec(address(), 0..5))
            .prop_map(|(links, addresses)| Input::Snapshot(Snapshot { links, addresses })),
        3 => verdict().prop_map(Input::Verdict),
        1 => Just(Input::Command(Command::Stop)),
        1 => settings().prop_map(|settings| Input::Reconfigure(Arc::new(settings))),
        4 => (0..60u64, result).prop_map(|(action, result)| Input::Completed {
            action: ActionId(action),
            result,
        }),
        4 => Just(Input::Tick),
    ]
}

fn state() -> impl Strategy<Value = RouterState> {
    prop_oneof![
        Just(RouterState::Initialize),
        Just(RouterState::Backup),
        Just(RouterState::Active),
        Just(RouterState::Fault)
    ]
}

fn legacy() -> impl Strategy<Value = Legacy> {
    let key = (prop::sample::select(&INTERFACES), 1..4u8).prop_map(|(interface, id)| RouterKey {
        interface: interface.to_owned(),
        family: Family::Ipv4,
        id,
    });
    let router = (key, state(), time())
        .prop_map(|(key, state, at)| Record::Router(RouterRecord { key, state, at }));
    let check = (any::<u8>(), any::<bool>(), weight(), time()).prop_map(
        |(kind, in_service, weight, at)| {
            Record::Check(CheckRecord {
                identity: [kind; 32],
                in_service,
                message: String::new(),
                weight,
                at,
            })
        },
    );
    let listed = (prop::sample::select(&INTERFACES), prefix())
        .prop_map(|(name, prefix)| (name.to_owned(), prefix));
    (vec(prop_oneof![router, check], 0..6), vec(listed, 0..4))
        .prop_map(|(records, manifest)| Legacy { records, manifest })
}

/// How long until the next input: often no time at all, sometimes hours.
fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0..2_000u64).prop_map(Duration::from_millis),
        (0..4_000_000u64).prop_map(Duration::from_millis),
    ]
}

fn both(boottime: Time) -> Now {
    Now {
        boottime,
        realtime: Realtime(0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_engine_survives(
        first in settings(),
        legacy in legacy(),
        began in time(),
        inputs in vec((pause(), input()), 0..80),
    ) {
        let mut now = began;
        let mut engine = Engine::new(both(now), &first, legacy);
        for (pause, input) in inputs {
            now = now + pause;
            let actions: Vec<_> = engine.handle(both(now), input).into_iter().collect();
            prop_assert!(actions.len() <= ACTIONS, "{} actions", actions.len());
            for action in &actions {
                if let Effect::AddAddresses { addresses, .. } | Effect::RemoveAddresses { addresses, .. } = &action.effect {
                    prop_assert!(!addresses.is_empty());
                }
            }
            let mut ticks = 0;
            while engine.next_deadline().is_some_and(|deadline| deadline <= now) {
                ticks += 1;
                prop_assert!(ticks <= TICKS, "the deadline stays at {:?}", engine.next_deadline());
                let _ = engine.handle(both(now), Input::Tick);
            }
            let status = engine.status(both(now));
            let document = serde_json::to_string(&status).unwrap();
            prop_assert_eq!(serde_json::from_str::<mainstay_core::status::Status>(&document).unwrap(), status);
            let _ = (engine.explain(None), engine.stopped());
        }
    }
}
