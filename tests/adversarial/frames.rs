//! Frames that are not what they should be, in both directions. Each case has a seed, which a failure
//! names.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::fd::AsFd;
use std::panic::catch_unwind;

use mainstay_protocol::frame::FrameError;
use mainstay_protocol::{Bounded, FromWorker, Sealed, ToWorker, frame, in_flight};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};
use mainstay_worker_tests::mutation::{self, Random, mutate, mutate_bytes, noise};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes what chance makes of these messages: each time it is a message within its bounds, which
/// stays the same over another frame, or an error.
fn decode<T: Bounded + Clone + Debug + DeserializeOwned + PartialEq + Serialize>(valid: &[T]) {
    const CASES: u64 = 20_000;
    let values: Vec<Value> = valid
        .iter()
        .map(|message| serde_json::to_value(message).unwrap())
        .collect();
    let frames: Vec<Vec<u8>> = valid
        .iter()
        .map(|message| frame::encode(message).unwrap()[4..].to_vec())
        .collect();
    let [mut taken, mut refused, mut out_of_bounds] = [0; 3];
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let at = random.below(valid.len());
        let body = match random.below(4) {
            0 => mutate_bytes(&frames[at], &mut random),
            1 => noise(&mut random),
            _ => serde_json::to_vec(&mutate(&values[at], &mut random)).unwrap(),
        };
        if body.len() > frame::LIMIT {
            continue;
        }
        let decoded = catch_unwind(|| frame::decode::<T>(&body))
            .unwrap_or_else(|_| panic!("seed {seed}: {}", String::from_utf8_lossy(&body)));
        match decoded {
            Ok(message) => {
                message.check().unwrap();
                let again = frame::encode(&message).unwrap();
                let again: T = frame::decode(&again[4..]).unwrap();
                assert_eq!(again, message, "seed {seed}");
                taken += 1;
            }
            Err(FrameError::Bounds(_)) => out_of_bounds += 1,
            Err(_) => refused += 1,
        }
    }
    // Chance has to find all three, or it finds nothing.
    for count in [taken, refused, out_of_bounds] {
        assert!(
            count > 50,
            "{taken} taken, {refused} refused, {out_of_bounds} out of bounds"
        );
    }
}

#[test]
fn frames_of_a_worker_are_within_bounds_or_refused() {
    decode::<FromWorker>(&mutation::of_a_worker());
}

/// A check and a hook that do what they should.
fn setup() -> Setup {
    let hook = guest::module(
        "",
        r#"(func (export "mainstay:plugin/hook@0.1.0#on-event") (param i32) (result i32)
             (i32.store8 (i32.const 1024) (i32.const 0)) (i32.const 1024))"#,
    );
    Setup::with_check(&guest::healthy())
        .plugin("q", &guest::component("hook", &hook))
        .hook("h", "q")
}

#[test]
fn frames_of_a_daemon_are_within_bounds_or_refused() {
    decode::<ToWorker>(&mutation::of_the_daemon(&setup()));
}

/// A frame as it should be, or what chance makes of it.
fn perhaps(message: &ToWorker, random: &mut Random) -> Vec<u8> {
    let valid = frame::encode(message).unwrap();
    match random.below(20) {
        0 => mutate_bytes(&valid, random),
        1 => noise(random),
        2..=5 => {
            let mutated = mutate(&serde_json::to_value(message).unwrap(), random);
            let body = serde_json::to_vec(&mutated).unwrap();
            let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
            bytes.extend(body);
            bytes
        }
        _ => valid,
    }
}

/// The real worker, in sessions of which some frames are not right: it ends with a reason, or goes on
/// until its daemon goes.
#[test]
fn a_worker_survives_any_session_or_says_why_not() {
    const SESSIONS: u64 = 400;
    let setup = setup();
    let codes: BTreeMap<&String, Sealed> = setup
        .components
        .iter()
        .map(|(name, component)| (name, Worker::compile(component).unwrap()))
        .collect();
    let page = in_flight::page(setup.load.plugins.len()).unwrap();
    let (before, after): (Vec<ToWorker>, Vec<ToWorker>) = mutation::of_the_daemon(&setup)
        .into_iter()
        .filter(|message| !matches!(message, ToWorker::Compile { .. }))
        .partition(|message| matches!(message, ToWorker::Load(_) | ToWorker::Code { .. }));
    let [mut ended_well, mut complained] = [0, 0];
    for seed in 0..SESSIONS {
        let mut random = Random::new(seed);
        let mut worker = Worker::start_heard();
        let loads = random.below(3) > 0;
        for message in &before {
            let bytes = match loads {
                true => frame::encode(message).unwrap(),
                false => perhaps(message, &mut random),
            };
            let carried = match message {
                ToWorker::Code { code } => codes.get(code).map(AsFd::as_fd),
                ToWorker::Load(_) => Some(page.as_fd()),
                _ => None,
            };
            // It may be gone.
            let _ = worker.try_send(&bytes, carried);
        }
        if loads {
            worker.find(|frame| matches!(frame, FromWorker::Loaded { .. }).then_some(()));
        }
        worker.listen();
        let mut gone = false;
        let (start, others) = after.split_first().unwrap();
        let mut messages = vec![start];
        messages.extend((0..4).map(|_| &others[random.below(others.len())]));
        for message in messages {
            gone |= worker
                .try_send(&perhaps(message, &mut random), None)
                .is_err();
        }
        let (status, said) = worker.abandon_heard();
        assert!(!said.contains("panicked"), "seed {seed}: {said}");
        match status.code() {
            Some(0) => {
                assert!(!gone, "seed {seed}: it ended by itself, without a word");
                ended_well += 1;
            }
            Some(1) => {
                let why = said.contains("mainstay-worker: ");
                assert!(why, "seed {seed}: {said}");
                complained += 1;
            }
            _ => panic!("seed {seed}: {status}: {said}"),
        }
    }
    for count in [ended_well, complained] {
        assert!(
            count > 30,
            "{ended_well} ended well, {complained} complained"
        );
    }
}
