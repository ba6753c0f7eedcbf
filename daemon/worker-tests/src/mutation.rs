//! Messages that are nearly right: one of each kind, and what chance makes of them.

use mainstay_protocol::{
    Answer, Blob, CompileFault, Event, EventPayload, Fault, FaultKind, FromWorker, LoadFault,
    LogLevel, Metric, Origin, Outcome, Outcomes, PluginInfo, Question, Refusal, Report,
    RouterRecord, RouterTransition, Run, RunReport, SocketRequest, StateAnswer, StateCall, Status,
    Subject, Times, ToWorker, Transport, Usage, WeightChange, Wish,
};
use serde_json::{Value, json};

use crate::harness::Setup;

/// Chance from a seed, the same each time (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }
}

/// A message with one or two places changed.
pub fn mutate(message: &Value, random: &mut Random) -> Value {
    let mut mutated = message.clone();
    for _ in 0..=random.below(2) {
        change(&mut mutated, random);
    }
    mutated
}

/// Goes down by chance, and changes what is there.
fn change(value: &mut Value, random: &mut Random) {
    let inside = match value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    if inside > 0 && random.below(6) > 0 {
        let at = random.below(inside);
        let child = match value {
            Value::Array(list) => list.get_mut(at),
            Value::Object(map) => map.values_mut().nth(at),
            _ => None,
        };
        return child.into_iter().for_each(|child| change(child, random));
    }
    match (random.below(4), &mut *value) {
        (0, Value::Object(map)) => {
            let key = map.keys().nth(random.below(inside.max(1))).cloned();
            key.into_iter().for_each(|key| drop(map.remove(&key)));
        }
        (0, Value::Array(list)) if inside > 0 => {
            let copy = list[random.below(inside)].clone();
            list.extend(std::iter::repeat_n(copy, 1 + random.below(2000)));
        }
        (1, Value::Object(map)) => drop(map.insert("other".to_owned(), json!(1))),
        _ => *value = any(random),
    }
}

fn any(random: &mut Random) -> Value {
    match random.below(14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(random.number() >> random.below(64)),
        7 => json!(1e300),
        8 => json!(""),
        9 => json!("x".repeat(1 << random.below(18))),
        10 => json!("\u{1b}[2J\n\u{202e}\0"),
        11 => json!([]),
        12 => json!({}),
        _ => (0..random.below(200)).fold(json!(1), |inner, _| json!([inner])),
    }
}

/// The bytes of a frame with some of them changed, left out or sent twice.
pub fn mutate_bytes(frame: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len().max(1));
        match random.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.splice(at..at, frame.iter().copied()).for_each(drop),
            _ if bytes.is_empty() => {}
            2 => bytes[at] ^= 1 << random.below(8),
            _ => bytes[at] = random.number() as u8,
        }
    }
    bytes
}

/// Any bytes, now and then with the length that they have.
pub fn noise(random: &mut Random) -> Vec<u8> {
    let length = random.below(64);
    let mut bytes = match random.below(2) {
        0 => (length as u32).to_be_bytes().to_vec(),
        _ => Vec::new(),
    };
    bytes.extend((0..length).map(|_| random.number() as u8));
    bytes
}

/// Every kind of message of a daemon, to a worker with this set-up, which has a check `c` and a hook
/// `h`.
pub fn of_the_daemon(setup: &Setup) -> Vec<ToWorker> {
    let transition = RouterTransition {
        router: "VI_1".to_owned(),
        family: "ipv4".to_owned(),
        interface: "eth0".to_owned(),
        id: 51,
        from: "backup".to_owned(),
        to: "active".to_owned(),
        priority: 100,
        addresses: vec!["192.168.1.100/24".to_owned()],
        cause: "no advertisement".to_owned(),
    };
    let event = Event {
        sequence: 1,
        source: "router/VI_1/ipv4".to_owned(),
        at_unix_ms: 1,
        queued_ms: 0,
        coalesced: false,
        payload: EventPayload::Router(transition),
    };
    let codes = setup.components.keys().cloned();
    let mut messages = vec![ToWorker::Load(setup.load.clone())];
    messages.extend(codes.map(|code| ToWorker::Code { code }));
    messages.extend([
        ToWorker::Start,
        ToWorker::Run(Run {
            check: "c".to_owned(),
        }),
        ToWorker::Event {
            hook: "h".to_owned(),
            event,
        },
        ToWorker::Answer {
            id: 1,
            answer: Err(Refusal::Invalid("no".to_owned())),
        },
        ToWorker::Answer {
            id: 1,
            answer: Ok(Answer::State(StateAnswer::Value(Some(Blob(vec![1, 2, 3]))))),
        },
        ToWorker::Answer {
            id: 1,
            answer: Ok(Answer::Routers(vec![RouterRecord {
                name: "VI_1".to_owned(),
                interface: "eth0".to_owned(),
                family: "ipv4".to_owned(),
                id: 51,
                state: "active".to_owned(),
                base_priority: 100,
                effective_priority: 100,
                since_ms: 1,
                active_router: Some("192.168.1.101".to_owned()),
                addresses: vec!["192.168.1.100/24".to_owned()],
            }])),
        },
        ToWorker::Compile {
            plugin: "p".to_owned(),
        },
    ]);
    messages
}

/// Every kind of message of a worker, about the plugin `p`, its check `c` and its hook `h`, in
/// generation 7.
pub fn of_a_worker() -> Vec<FromWorker> {
    let (plugin, check, hook) = ("p".to_owned(), "c".to_owned(), "h".to_owned());
    let subject = Subject::Check(check.clone());
    let text = "fine".to_owned();
    let report = Outcome::Report(Report {
        status: Status::Degraded,
        weight: WeightChange::Offset(-1),
        message: text.clone(),
        metrics: vec![Metric {
            name: "load".to_owned(),
            counter: false,
            value: 0.5,
            labels: vec![("core".to_owned(), "0".to_owned())],
        }],
    });
    let fault = Fault {
        kind: FaultKind::Trap,
        message: text.clone(),
    };
    let verdict = |outcome| FromWorker::Verdict {
        check: check.clone(),
        generation: 7,
        outcome,
        took_us: 1,
        overruns: 0,
    };
    vec![
        FromWorker::Hello {
            version: mainstay_protocol::VERSION,
            build: "test".to_owned(),
            engine: "0123456789abcdef".to_owned(),
            pid: 1,
        },
        FromWorker::Compiled {
            took_us: 1,
            fault: Some(CompileFault {
                message: text.clone(),
                help: Some(text.clone()),
            }),
        },
        FromWorker::Loaded {
            generation: 7,
            plugins: vec![PluginInfo {
                name: plugin.clone(),
                api: Some("0.1.0".to_owned()),
                roles: vec!["check".to_owned()],
                imports: vec!["mainstay:plugin/log@0.1.0".to_owned()],
                described: Some((text.clone(), text.clone(), text.clone())),
                settings_schema: Some(json!({ "type": "object" })),
                wishes: vec![Wish {
                    capability: "process".to_owned(),
                    scope: "nginx".to_owned(),
                    optional: true,
                    granted: false,
                    line: Some(text.clone()),
                }],
            }],
            faults: vec![LoadFault {
                plugin: plugin.clone(),
                subject: subject.clone(),
                pointer: Some("/name".to_owned()),
                message: text.clone(),
                help: None,
            }],
        },
        verdict(report.clone()),
        verdict(Outcome::Fault(fault.clone())),
        FromWorker::Ran(RunReport {
            check: check.clone(),
            outcome: report,
            took_us: 1,
            memory_peak: 1,
            host_calls: vec![("log.write".to_owned(), 1)],
            denied: vec![(text.clone(), text.clone())],
            log: vec![(LogLevel::Info, text.clone())],
        }),
        FromWorker::HookDone {
            hook: hook.clone(),
            source: "router/VI_1/ipv4".to_owned(),
            sequence: 1,
            error: Some(fault),
        },
        FromWorker::Log {
            plugin: plugin.clone(),
            subject,
            level: LogLevel::Warn,
            message: text.clone(),
            fields: vec![("key".to_owned(), text)],
        },
        FromWorker::Ask {
            id: 1,
            plugin: plugin.clone(),
            question: Question::Socket(SocketRequest {
                transport: Transport::Tcp,
                to: ([127, 0, 0, 1], 80).into(),
                origin: Origin::default(),
            }),
        },
        FromWorker::Ask {
            id: 2,
            plugin: plugin.clone(),
            question: Question::State(StateCall::Set("key".to_owned(), Blob(vec![1, 2, 3]))),
        },
        FromWorker::Ask {
            id: 3,
            plugin: plugin.clone(),
            question: Question::Pipe {
                path: "/run/pipe".to_owned(),
                line: "line".to_owned(),
            },
        },
        FromWorker::Usage(Usage {
            subject: Subject::Check(check.clone()),
            outcomes: Outcomes::default(),
            run: Times::default(),
            instantiate: Times::default(),
            memory_peak: 1,
            overruns: 1,
            host_calls: vec![("log".to_owned(), 1)],
            call_times: vec![("log".to_owned(), Times::default())],
            denied: vec![("probe".to_owned(), 1)],
        }),
        FromWorker::LogDropped { plugin, lines: 3 },
        FromWorker::Quarantine {
            check,
            for_ms: 60_000,
        },
    ]
}
