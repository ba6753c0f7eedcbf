use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use mainstay_protocol::{
    Blob, CheckSpec, Grants, HttpGrant, Limits, Origin, PluginSpec, ProbeGrant, SocketRequest,
    StateAnswer, StateCall, StateGrant, Transport,
};
use serde_json::Value;

use super::*;

/// Plugin `p` may probe 127.0.0.1 at this port, and come from 127.0.0.1; plugin `q` may do nothing but look at the
/// target of its check.
fn broker(port: u16, target: Option<SocketAddr>) -> Broker {
    let plugin = |name: &str, probe| PluginSpec {
        name: name.to_owned(),
        code: String::new(),
        grants: Grants {
            probe,
            ..Grants::default()
        },
        limits: Limits::default(),
        secrets: Vec::new(),
    };
    let granted = ProbeGrant {
        addresses: vec!["127.0.0.1".to_owned()],
        ports: vec![port],
        sources: vec![local(), [192, 0, 2, 1].into()],
        ..ProbeGrant::default()
    };
    let load = Load {
        generation: 1,
        max_concurrent_runs: 1,
        unstable: Vec::new(),
        plugins: vec![plugin("p", granted), plugin("q", ProbeGrant::default())],
        checks: vec![CheckSpec {
            name: "c".to_owned(),
            plugin: "q".to_owned(),
            settings: Value::Null,
            target,
            interval_ms: 1000,
            jitter_ms: 0,
            timeout_ms: 1000,
            quarantine_after: 1,
            quarantine_ms: 1000,
        }],
        hooks: Vec::new(),
    };
    let mut broker = Broker::new(Means::default());
    broker.serve(&load);
    broker
}

fn local() -> IpAddr {
    [127, 0, 0, 1].into()
}

fn socket(to: impl Into<SocketAddr>, source: Option<IpAddr>) -> Question {
    Question::Socket(SocketRequest {
        transport: Transport::Tcp,
        to: to.into(),
        origin: Origin {
            source,
            fwmark: None,
        },
    })
}

async fn ask(broker: &mut Broker, plugin: &str, question: Question) -> Reply {
    match broker.ask(1, plugin, question, 0, Instant::now()).unwrap() {
        Some(reply) => reply,
        None => broker.answered().await,
    }
}

async fn refusal(broker: &mut Broker, plugin: &str, question: Question) -> Refusal {
    let reply = ask(broker, plugin, question).await;
    assert!(reply.carried.is_none());
    reply.answer.unwrap_err()
}

#[tokio::test]
async fn a_granted_socket_comes_connected_from_the_source() {
    let listener = TcpListener::bind((local(), 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut broker = broker(to.port(), None);
    let reply = ask(&mut broker, "p", socket(to, Some(local()))).await;
    assert_eq!(reply.answer, Ok(Answer::Socket));
    let stream = TcpStream::from(reply.carried.unwrap());
    let (mut accepted, from) = listener.accept().unwrap();
    assert_eq!(stream.local_addr().unwrap(), from);
    drop(stream);
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn datagrams_leave_from_a_socket_that_hears_one_peer_only() {
    let server = UdpSocket::bind((local(), 0)).unwrap();
    let to = server.local_addr().unwrap();
    let mut broker = broker(to.port(), None);
    let question = Question::Socket(SocketRequest {
        transport: Transport::Udp,
        to,
        origin: Origin {
            source: Some(local()),
            fwmark: None,
        },
    });
    let reply = ask(&mut broker, "p", question).await;
    let client = UdpSocket::from(reply.carried.unwrap());
    assert_eq!(client.peer_addr().unwrap(), to);
    client.send(b"ping").unwrap();
    assert_eq!(server.recv(&mut [0; 16]).unwrap(), 4);
}

#[tokio::test]
async fn a_worker_gets_no_more_than_the_plugin_that_it_names() {
    let listener = TcpListener::bind((local(), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut broker = broker(port, None);
    let denied = [
        ("q", socket((local(), port), None)),
        ("nobody", socket((local(), port), None)),
        ("p", socket((local(), port ^ 1), None)),
        ("p", socket(([127, 0, 0, 2], port), None)),
        ("p", socket((local(), port), Some([127, 0, 0, 2].into()))),
    ];
    for (plugin, question) in denied {
        let refusal = refusal(&mut broker, plugin, question.clone()).await;
        assert_eq!(refusal, Refusal::NotPermitted, "{plugin} {question:?}");
    }
    let marked = Question::Socket(SocketRequest {
        transport: Transport::Tcp,
        to: (local(), port).into(),
        origin: Origin {
            source: None,
            fwmark: Some(1),
        },
    });
    assert_eq!(
        refusal(&mut broker, "p", marked).await,
        Refusal::NotPermitted
    );
    let nowhere = socket(([0, 0, 0, 0], port), None);
    let invalid = refusal(&mut broker, "p", nowhere).await;
    assert!(matches!(invalid, Refusal::Invalid(_)), "{invalid:?}");
    assert!(listener.accept().is_err(), "something connected");
}

#[tokio::test]
async fn the_target_of_a_check_is_reached_without_a_grant() {
    let listener = TcpListener::bind((local(), 0)).unwrap();
    let target = listener.local_addr().unwrap();
    let mut broker = broker(1, Some(target));
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", target.port())
        .parse()
        .unwrap();
    for to in [target, mapped] {
        let reply = ask(&mut broker, "q", socket(to, None)).await;
        assert_eq!(reply.answer, Ok(Answer::Socket), "{to}");
    }
    let refusal = refusal(&mut broker, "p", socket(target, None)).await;
    assert_eq!(refusal, Refusal::NotPermitted);
}

#[tokio::test]
async fn a_source_of_another_machine_or_family_is_refused() {
    let mut broker = broker(80, Some("[::1]:80".parse().unwrap()));
    let elsewhere = socket((local(), 80), Some([192, 0, 2, 1].into()));
    let refused = refusal(&mut broker, "p", elsewhere).await;
    let why = "192.0.2.1 is no address of this machine".to_owned();
    assert_eq!(refused, Refusal::Invalid(why));
    let mixed = socket((local(), 80), Some("::1".parse().unwrap()));
    assert_eq!(
        refusal(&mut broker, "p", mixed).await,
        Refusal::NotPermitted
    );
}

#[tokio::test]
async fn too_many_questions_are_answered_busy_and_a_flood_ends_the_worker() {
    let mut broker = broker(80, None);
    let now = Instant::now();
    let mut taken = 0;
    let mut busy = 0;
    loop {
        match broker.ask(1, "p", socket(([127, 0, 0, 2], 80), None), 0, now) {
            Ok(None) => taken += 1,
            Ok(Some(reply)) => {
                assert_eq!(reply.answer, Err(Refusal::Busy));
                busy += 1;
            }
            Err(ConnectionError::Flood) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken, QUESTIONS_AT_ONCE);
    assert_eq!(taken + busy, 4 * QUESTIONS_A_SECOND as usize);
}

#[tokio::test]
async fn sockets_that_the_worker_does_not_take_do_not_pile_up() {
    let listener = TcpListener::bind((local(), 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut broker = broker(1, Some(to));
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut connection = Connection::new(ours).unwrap();
    let mut busy = 0;
    for id in 0..1000 {
        let untaken = connection.carrying();
        let asked = broker.ask(id, "q", socket(to, None), untaken, Instant::now());
        let reply = match asked.unwrap() {
            Some(reply) => {
                assert_eq!(reply.answer, Err(Refusal::Busy));
                busy += 1;
                reply
            }
            None => broker.answered().await,
        };
        reply.send(&mut connection).unwrap();
    }
    assert!(busy > 0);
    assert!(connection.carrying() <= QUESTIONS_AT_ONCE);
}

/// Plugin `p` with these grants.
fn granting(grants: Grants) -> Broker {
    let mut broker = broker(1, None);
    let load = Load {
        generation: 1,
        max_concurrent_runs: 1,
        unstable: Vec::new(),
        plugins: vec![PluginSpec {
            name: "p".to_owned(),
            code: String::new(),
            grants,
            limits: Limits::default(),
            secrets: Vec::new(),
        }],
        checks: Vec::new(),
        hooks: Vec::new(),
    };
    broker.serve(&load);
    broker
}

/// Plugin `p` with these URLs, for requests from 127.0.0.1.
fn fetching(urls: &[&str]) -> Broker {
    granting(Grants {
        http: HttpGrant {
            urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
            sources: vec![local()],
            ..HttpGrant::default()
        },
        ..Grants::default()
    })
}

#[tokio::test]
async fn what_is_kept_and_known_is_for_whom_it_is_granted_whatever_the_worker_says() {
    let questions = || {
        [
            Question::State(StateCall::Get("key".to_owned())),
            Question::Routers(None),
            Question::Pipe {
                path: "/run/pipe".to_owned(),
                line: "x".to_owned(),
            },
            Question::Unit("nginx.service".to_owned()),
        ]
    };
    for question in questions() {
        let refused = ask(&mut granting(Grants::default()), "p", question).await;
        assert_eq!(refused.answer, Err(Refusal::NotPermitted));
    }
    let mut broker = granting(Grants {
        state: Some(StateGrant::default()),
        routers: true,
        fifo: vec!["/run/no-such-pipe".into()],
        units: vec!["other.service".to_owned()],
        ..Grants::default()
    });
    let [state, routers, pipe, unit] = questions();
    let nothing = Answer::State(StateAnswer::Value(None));
    assert_eq!(ask(&mut broker, "p", state).await.answer, Ok(nothing));
    // Without an engine there are none.
    let none = Answer::Routers(Vec::new());
    assert_eq!(ask(&mut broker, "p", routers).await.answer, Ok(none));
    // Another pipe and another unit than those that are granted.
    for question in [pipe, unit] {
        let refused = ask(&mut broker, "p", question).await;
        assert_eq!(refused.answer, Err(Refusal::NotPermitted));
    }
}

#[tokio::test]
async fn t27_a_worker_that_lies_keeps_no_more_than_the_grant_and_under_no_other_key() {
    let mut broker = granting(Grants {
        state: Some(StateGrant {
            size: 100,
            persist: false,
        }),
        ..Grants::default()
    });
    let set = |key: &str, length: usize| {
        Question::State(StateCall::Set(key.to_owned(), Blob(vec![0; length])))
    };
    let no = Ok(Answer::State(StateAnswer::QuotaExceeded));
    for question in [set("key", 98), set("../key", 1), set("", 1)] {
        assert_eq!(ask(&mut broker, "p", question).await.answer, no);
    }
    let done = Ok(Answer::State(StateAnswer::Done));
    assert_eq!(ask(&mut broker, "p", set("key", 97)).await.answer, done);
    // The store of another plugin is out of reach.
    let other = ask(&mut broker, "q", set("key", 1)).await;
    assert_eq!(other.answer, Err(Refusal::NotPermitted));
}

#[tokio::test]
async fn names_are_told_to_whom_a_name_is_granted() {
    let told = ask(&mut fetching(&["http://a.example/"]), "p", Question::Names).await;
    let Ok(Answer::Names { hosts, .. }) = told.answer else {
        panic!("{told:?}");
    };
    assert_eq!(
        hosts,
        std::fs::read_to_string("/etc/hosts").unwrap_or_default()
    );
    for urls in [&["http://10.0.0.1/"][..], &[]] {
        for question in [Question::Names, own(&[local()])] {
            let refused = refusal(&mut fetching(urls), "p", question).await;
            assert_eq!(refused, Refusal::NotPermitted);
        }
    }
}

fn own(addresses: &[IpAddr]) -> Question {
    Question::Own {
        addresses: addresses.to_vec(),
    }
}

#[tokio::test]
async fn this_machines_addresses_are_told_from_others() {
    let ours: [IpAddr; 2] = [local(), [127, 9, 9, 9].into()];
    let others: [IpAddr; 2] = [[192, 0, 2, 77].into(), "2001:db8::77".parse().unwrap()];
    let all = own(&[ours, others].concat());
    let told = ask(&mut fetching(&["http://a.example/"]), "p", all).await;
    let addresses = ours.to_vec();
    assert_eq!(told.answer, Ok(Answer::Own { addresses }));
}

#[tokio::test]
async fn a_request_gets_a_socket_where_its_urls_lead() {
    let listener = TcpListener::bind((local(), 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let port = to.port();
    let granted = format!("http://{to}/x");
    let reply = ask(&mut fetching(&[&granted]), "p", socket(to, Some(local()))).await;
    assert_eq!(reply.answer, Ok(Answer::Socket));
    for url in [
        format!("http://127.0.0.2:{port}/"),
        format!("http://127.0.0.1:{}/", port ^ 1),
        // A name may have any address but a special one.
        format!("http://a.example:{port}/"),
    ] {
        let refused = refusal(&mut fetching(&[&url]), "p", socket(to, Some(local()))).await;
        assert_eq!(refused, Refusal::NotPermitted, "{url}");
    }
    let elsewhere = Some([127, 0, 0, 2].into());
    let refused = refusal(&mut fetching(&[&granted]), "p", socket(to, elsewhere)).await;
    assert_eq!(refused, Refusal::NotPermitted);
}
