//! Workers that lie, flood, or say nothing whole: each is cut off, and another takes its place.

use mainstay_worker_tests::mutation::{self, Random, mutate, mutate_bytes, noise};
use serde_json::Value;

use super::*;

impl Setup {
    /// Waits until the next worker has loaded what this one had, and serves it.
    async fn replaced(&self, lie: &str) -> Worker {
        let next = tokio::time::timeout(Duration::from_secs(30), self.loaded());
        let (mut next, _) = next.await.unwrap_or_else(|_| panic!("not cut off: {lie}"));
        assert_eq!(next.hear().await, Some(ToWorker::Start), "{lie}");
        next
    }
}

fn verdict(check: &str, generation: u64) -> FromWorker {
    FromWorker::Verdict {
        check: check.to_owned(),
        generation,
        outcome: protocol::Outcome::Fault(Fault {
            kind: FaultKind::Error,
            message: "no".to_owned(),
        }),
        took_us: 1,
        overruns: 0,
    }
}

/// The same, after so long.
fn took(mut verdict: FromWorker, microseconds: u64) -> FromWorker {
    if let FromWorker::Verdict { took_us, .. } = &mut verdict {
        *took_us = microseconds;
    }
    verdict
}

fn line(plugin: &str, subject: Subject) -> FromWorker {
    FromWorker::Log {
        plugin: plugin.to_owned(),
        subject,
        level: protocol::LogLevel::Info,
        message: "line".to_owned(),
        fields: Vec::new(),
    }
}

fn done(hook: &str, sequence: u64) -> FromWorker {
    FromWorker::HookDone {
        hook: hook.to_owned(),
        source: "router/VI_1/ipv4".to_owned(),
        sequence,
        error: None,
    }
}

#[tokio::test]
async fn a_worker_that_lies_is_cut_off_and_replaced() {
    let check = |name: &str| Subject::Check(name.to_owned());
    let of_a_worker = mutation::of_a_worker();
    let answers = of_a_worker.into_iter().filter(|message| {
        matches!(
            message,
            FromWorker::Hello { .. }
                | FromWorker::Compiled { .. }
                | FromWorker::Loaded { .. }
                | FromWorker::Ran(_)
        )
    });
    let mut lies: Vec<FromWorker> = answers.collect();
    assert_eq!(lies.len(), 4);
    lies.extend([
        verdict("stranger", 7),
        verdict("a", 6),
        verdict("a", 8),
        took(verdict("b", 7), u64::MAX),
        done("hook", 1),
        done("stranger", 1),
        line("stranger", Subject::Load),
        line("plugin-a", check("b")),
        FromWorker::LogDropped {
            plugin: "stranger".to_owned(),
            lines: 1,
        },
        FromWorker::Quarantine {
            check: "stranger".to_owned(),
            for_ms: 1,
        },
    ]);
    for lie in lies {
        let told = format!("{lie:?}");
        let mut setup = Setup::new();
        let mut liar = setup.adopt(load(7, HOUR)).await;
        liar.say(&lie).await;
        let mut next = setup.replaced(&told).await;
        assert_eq!(liar.hear().await, None, "{told}");
        // Nothing of the lie was believed, and who tells the truth is.
        next.find_healthy("b", 7).await;
        let heard = setup.verdicts.recv().await.unwrap();
        assert_eq!(heard.check, "b", "{told}");
        assert!(matches!(heard.outcome, Outcome::Report { .. }), "{told}");
        assert_eq!(setup.supervisor.status().restarts, 1, "{told}");
    }
}

/// An answer to an event counts once.
#[tokio::test]
async fn an_event_is_answered_once() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    setup.transitions.transition(&transition(1));
    let (hook, event) = worker.event().await;
    worker.finish_event(&hook, &event, None).await;
    worker.finish_event(&hook, &event, None).await;
    setup.replaced("the event was answered twice").await;
    assert_eq!(worker.hear().await, None);
}

/// Each message is right, and nobody runs as often. What is believed until then is bounded, and so
/// is what waits.
#[tokio::test]
async fn a_million_frames_are_not_heard_to_the_end() {
    let mut setup = Setup::new();
    let worker = setup.adopt(load(1, HOUR)).await;
    let mut stream = worker.stream;
    let frame = frame::encode(&verdict("a", 1)).unwrap();
    let flood = tokio::spawn(async move {
        let mut sent = 0_u32;
        while sent < 1_000_000 && stream.write_all(&frame).await.is_ok() {
            sent += 1;
        }
        sent
    });
    setup.replaced("a million frames").await;
    assert!(flood.await.unwrap() < 100_000);
    let mut heard = 0;
    while setup.verdicts.try_recv().is_ok() {
        heard += 1;
    }
    assert!((1..500).contains(&heard), "{heard} verdicts");
}

#[tokio::test]
async fn a_worker_that_stops_in_the_middle_of_a_frame_is_replaced() {
    let setup = Setup::new();
    let mut worker = setup.adopt(load(1, 50)).await;
    let frame = frame::encode(&verdict("a", 1)).unwrap();
    worker
        .stream
        .write_all(&frame[..frame.len() / 2])
        .await
        .unwrap();
    setup.replaced("half a frame").await;
    assert_eq!(worker.hear().await, None);

    let mut worker = setup.adopt(load(2, HOUR)).await;
    worker
        .stream
        .write_all(&frame[..frame.len() / 2])
        .await
        .unwrap();
    drop(worker);
    setup.replaced("half a frame, and the end").await;
}

#[tokio::test]
async fn a_name_of_a_megabyte_is_no_name() {
    let setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    worker.say(&verdict(&"x".repeat(1 << 19), 1)).await;
    setup.replaced("a giant name").await;
    assert_eq!(worker.hear().await, None);
}

/// While it loads, a worker has nothing to say but what it loads.
#[tokio::test]
async fn a_worker_that_chatters_while_it_loads_is_refused() {
    let setup = Setup::new();
    for lie in [
        verdict("a", 1),
        line("plugin-a", Subject::Load),
        done("hook", 1),
    ] {
        let chatter = async {
            let mut worker = setup.worker().await;
            worker.say(&lie).await;
            while worker.hear().await.is_some() {}
        };
        let (result, ()) = tokio::join!(setup.prepare(load(1, HOUR)), chatter);
        let error = result.unwrap_err();
        assert!(error.to_string().contains("no plugin worker"), "{error}");
    }
}

/// What chance makes of a worker's frames: it is heard, or cut off, and the next one serves.
#[tokio::test]
async fn no_frame_ends_the_supervisor() {
    const WORKERS: u64 = 150;
    let valid: Vec<FromWorker> = ["a", "b"]
        .into_iter()
        .map(|check| verdict(check, 7))
        .chain([line("plugin-a", Subject::Load)])
        .chain(mutation::of_a_worker())
        .collect();
    for seed in 0..WORKERS {
        let mut random = Random::new(seed);
        let setup = Setup::new();
        let mut worker = setup.adopt(load(7, HOUR)).await;
        for _ in 0..8 {
            let message = &valid[random.below(valid.len())];
            let frame = frame::encode(message).unwrap();
            let bytes = match random.below(6) {
                0 => mutate_bytes(&frame, &mut random),
                1 => noise(&mut random),
                2 | 3 => {
                    let value: Value = serde_json::to_value(message).unwrap();
                    let body = mutate(&value, &mut random).to_string();
                    [&(body.len() as u32).to_be_bytes()[..], body.as_bytes()].concat()
                }
                _ => frame,
            };
            if worker.stream.write_all(&bytes).await.is_err() {
                break;
            }
        }
        drop(worker);
        setup.replaced(&format!("seed {seed}")).await;
    }
}
