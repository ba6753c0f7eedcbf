//! The supervisor against workers that the tests play, one per connection to a socket.

mod lies;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carrier::Descriptors;
use mainstay_core::address::Family;
use mainstay_core::event::{Cause, RouterState, Transition};
use mainstay_core::input::{Outcome, Status};
use mainstay_core::time::{Realtime, Time};
use mainstay_protocol as protocol;
use protocol::{
    CheckSpec, CompileFault, Event, Fault, FaultKind, FromWorker, HookSpec, Load, LoadFault,
    PluginSpec, Report, Sealed, Subject, ToWorker, VERSION, WeightChange, carrier, frame,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::code::{self, Cache, ComponentFile};
use crate::hooks::{self, EventSender, Kind};
use crate::worker::WorkerState;
use crate::worker::source::StartError;

/// The daemon's side, and the socket where it finds workers.
struct Setup {
    supervisor: Arc<Supervisor>,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
    transitions: EventSender,
    listener: UnixListener,
    directory: TempDir,
}

impl Setup {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("worker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, verdicts) = mpsc::unbounded_channel();
        let outlet = move |verdicts: Vec<Verdict>| {
            for verdict in verdicts {
                sender.send(verdict).unwrap();
            }
        };
        let (transitions, happened) = hooks::channel();
        // All code is there already: the cache has it.
        let (cache, state) = (
            directory.path().join("cache"),
            directory.path().join("state"),
        );
        let cache = Cache::keeping(&cache, &state).unwrap();
        let code = Sealed::of("code", b"code").unwrap();
        cache.keep(&digest(), ENGINE, &code).unwrap();
        std::fs::write(component(directory.path()), COMPONENT).unwrap();
        let source = Source::socket(path).with_cache(cache);
        let supervisor = Supervisor::spawn(source, Vec::new(), happened, Box::new(outlet));
        Self {
            supervisor: Arc::new(supervisor),
            verdicts,
            transitions,
            listener,
            directory,
        }
    }

    /// The next worker, which has said hello.
    async fn worker(&self) -> Worker {
        self.worker_of(ENGINE).await
    }

    async fn worker_of(&self, engine: &str) -> Worker {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut worker = Worker {
            stream,
            descriptors: Descriptors::default(),
            page: None,
        };
        worker.say_hello(VERSION, engine).await;
        worker
    }

    /// The next worker, which has loaded what it was asked to.
    async fn loaded(&self) -> (Worker, Load) {
        let mut worker = self.worker().await;
        let load = worker.answer_load(Vec::new()).await;
        (worker, load)
    }

    /// The next worker, which was asked to load no plugin.
    async fn loaded_nothing(&self) -> Load {
        self.worker().await.load_nothing().await
    }

    /// First half of a reload.
    async fn prepare(&self, load: Load) -> Result<Prepared, LoadError> {
        let file = ComponentFile {
            path: component(self.directory.path()),
            pinned: false,
        };
        let components = [(digest(), file)].into();
        let load = Arc::new(load);
        self.supervisor.prepare(Plan { load, components }).await
    }

    /// Brings a load into force. Answers with the worker that serves it.
    async fn adopt(&self, load: Load) -> Worker {
        let subscriptions = load.hooks.iter().map(|hook| Subscription {
            hook: hook.name.clone(),
            kinds: [Kind::Router].into(),
            deadline: Duration::from_secs(5),
        });
        let subscriptions = subscriptions.collect();
        let (prepared, (mut worker, _)) = tokio::join!(self.prepare(load), self.loaded());
        self.supervisor
            .adopt(prepared.unwrap(), subscriptions)
            .await;
        assert_eq!(worker.hear().await, Some(ToWorker::Start));
        worker
    }

    /// The status, as soon as it is as wanted.
    async fn status(&self, wanted: impl Fn(&WorkerStatus) -> bool) -> WorkerStatus {
        let mut status = self.supervisor.status.clone();
        status.wait_for(wanted).await.unwrap().clone()
    }
}

/// A worker's end of a connection.
struct Worker {
    stream: UnixStream,
    descriptors: Descriptors,
    /// Where it notes its runs.
    page: Option<File>,
}

impl Worker {
    async fn say(&mut self, message: &FromWorker) {
        let frame = frame::encode(message).unwrap();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next message; `None` when the daemon has ended the connection.
    async fn hear(&mut self) -> Option<ToWorker> {
        let mut prefix = [0; 4];
        self.read(&mut prefix).await?;
        let mut body = vec![0; frame::body_length(prefix).unwrap()];
        self.read(&mut body).await.unwrap();
        let message: ToWorker = frame::decode(&body).unwrap();
        if message.carries() {
            let carried = self.descriptors.take().unwrap();
            if matches!(message, ToWorker::Load(_)) {
                self.page = Some(File::from(carried));
            }
        }
        Some(message)
    }

    /// Fills the buffer; `None` when the stream ends before.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        let (mut have, wanted) = (0, Interest::READABLE);
        while have < buffer.len() {
            let (stream, rest) = (&self.stream, &mut buffer[have..]);
            let receive = || self.descriptors.receive(stream, rest);
            match stream.async_io(wanted, receive).await.ok()? {
                0 => return None,
                more => have += more,
            }
        }
        Some(())
    }

    async fn say_hello(&mut self, version: u32, engine: &str) {
        let hello = FromWorker::Hello {
            version,
            build: "test".to_owned(),
            engine: engine.to_owned(),
            pid: 4711,
        };
        self.say(&hello).await;
    }

    async fn answer_load(&mut self, faults: Vec<LoadFault>) -> Load {
        let Some(ToWorker::Load(load)) = self.hear().await else {
            panic!("not asked to load");
        };
        if !load.plugins.is_empty() {
            let code = ToWorker::Code { code: digest() };
            assert_eq!(self.hear().await, Some(code));
        }
        let loaded = FromWorker::Loaded {
            generation: load.generation,
            plugins: Vec::new(),
            faults,
        };
        self.say(&loaded).await;
        load
    }

    /// Loads what is left when the only component is broken.
    async fn load_nothing(mut self) -> Load {
        let load = self.answer_load(Vec::new()).await;
        assert_eq!(self.hear().await, None);
        load
    }

    /// Notes so many runs of the plugin at this place of the load.
    fn note_runs(&self, plugin: usize, runs: u32) {
        let page = self.page.as_ref().unwrap();
        protocol::in_flight::note(page, plugin, runs).unwrap();
    }

    async fn find_healthy(&mut self, check: &str, generation: u64) {
        let report = Report {
            status: protocol::Status::Healthy,
            weight: WeightChange::Unchanged,
            message: "fine".to_owned(),
            metrics: Vec::new(),
        };
        let verdict = FromWorker::Verdict {
            check: check.to_owned(),
            generation,
            outcome: protocol::Outcome::Report(report),
            took_us: 1,
            overruns: 0,
        };
        self.say(&verdict).await;
    }

    async fn event(&mut self) -> (String, Event) {
        match self.hear().await {
            Some(ToWorker::Event { hook, event }) => (hook, event),
            other => panic!("not an event: {other:?}"),
        }
    }

    async fn finish_event(&mut self, hook: &str, event: &Event, error: Option<&str>) {
        let done = FromWorker::HookDone {
            hook: hook.to_owned(),
            source: event.source.clone(),
            sequence: event.sequence,
            error: error.map(|message| Fault {
                kind: FaultKind::Error,
                message: message.to_owned(),
            }),
        };
        self.say(&done).await;
    }
}

/// The shortest component, of which both plugins are.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What the workers need code for.
const ENGINE: &str = "0123456789abcdef";

fn digest() -> String {
    code::hex(&Sha256::digest(COMPONENT))
}

fn component(directory: &Path) -> PathBuf {
    directory.join("component.wasm")
}

/// Two plugins with a check each, `a` and `b`, and a hook of the second.
fn load(generation: u64, interval_ms: u64) -> Load {
    let plugin = |name: &str| PluginSpec {
        name: name.to_owned(),
        code: digest(),
        grants: protocol::Grants::default(),
        limits: protocol::Limits::default(),
        secrets: Vec::new(),
    };
    let check = |name: &str, plugin: &str| CheckSpec {
        name: name.to_owned(),
        plugin: plugin.to_owned(),
        settings: serde_json::Value::Null,
        target: None,
        interval_ms,
        jitter_ms: 0,
        timeout_ms: interval_ms,
        quarantine_after: 5,
        quarantine_ms: 60_000,
    };
    Load {
        generation,
        max_concurrent_runs: 4,
        unstable: Vec::new(),
        plugins: vec![plugin("plugin-a"), plugin("plugin-b")],
        checks: vec![check("a", "plugin-a"), check("b", "plugin-b")],
        hooks: vec![HookSpec {
            name: "hook".to_owned(),
            plugin: "plugin-b".to_owned(),
            settings: serde_json::Value::Null,
            timeout_ms: 5_000,
        }],
    }
}

fn transition(sequence: u64) -> Transition {
    Transition {
        sequence,
        router: "VI_1".to_owned(),
        interface: "eth0".to_owned(),
        family: Family::Ipv4,
        id: 51,
        from: RouterState::Backup,
        to: RouterState::Active,
        priority: 100,
        addresses: Vec::new(),
        causes: vec![Cause::NeverHeard],
        at: Time::ZERO,
        at_unix_ms: Realtime(0),
    }
}

const HOUR: u64 = 3_600_000;

#[tokio::test]
async fn verdicts_of_the_configuration_in_force_reach_the_engine() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(7, HOUR)).await;
    worker.find_healthy("b", 7).await;
    let verdict = setup.verdicts.recv().await.unwrap();
    assert_eq!((verdict.check.as_str(), verdict.generation), ("b", 7));
    let Outcome::Report { status, .. } = verdict.outcome else {
        panic!("not a report");
    };
    assert_eq!(status, Status::Healthy);
    let status = setup.supervisor.status();
    assert_eq!(
        (status.state, status.pid),
        (WorkerState::Running, Some(4711))
    );
}

#[tokio::test]
async fn t33_a_worker_that_dies_is_replaced_and_loses_no_event() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    setup.transitions.transition(&transition(1));
    setup.transitions.transition(&transition(2));
    setup.transitions.transition(&transition(3));
    let (hook, event) = worker.event().await;
    worker.finish_event(&hook, &event, None).await;
    assert_eq!(worker.event().await.1.sequence, 2);
    drop(worker);

    let (mut worker, again) = setup.loaded().await;
    assert_eq!(again, load(1, HOUR));
    assert_eq!(worker.hear().await, Some(ToWorker::Start));
    for sequence in [2, 3] {
        let (hook, event) = worker.event().await;
        assert_eq!(event.sequence, sequence);
        worker.finish_event(&hook, &event, None).await;
    }
    let status = setup.status(|status| status.restarts == 1).await;
    assert_eq!(status.last_end.as_deref(), Some("the connection ended"));
}

#[tokio::test]
async fn an_event_that_failed_is_sent_again() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    setup.transitions.transition(&transition(1));
    let (hook, event) = worker.event().await;
    worker.finish_event(&hook, &event, Some("no route")).await;
    let (_, again) = worker.event().await;
    assert_eq!((again.sequence, &again.payload), (1, &event.payload));
}

#[tokio::test]
async fn t40_a_configuration_with_faults_leaves_the_worker_at_work() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    let fault = LoadFault {
        plugin: "plugin-a".to_owned(),
        subject: Subject::Load,
        pointer: None,
        message: "not a component".to_owned(),
        help: None,
    };
    let bad = async {
        let mut second = setup.worker().await;
        second.answer_load(vec![fault.clone()]).await;
        second.hear().await
    };
    let (result, end) = tokio::join!(setup.prepare(load(2, HOUR)), bad);
    let Err(LoadError::Faults(faults)) = result else {
        panic!("the faults were not told");
    };
    assert_eq!(faults, [fault]);
    assert_eq!(end, None);
    worker.find_healthy("a", 1).await;
    assert_eq!(setup.verdicts.recv().await.unwrap().generation, 1);
}

#[tokio::test]
async fn a_reload_replaces_the_worker_when_all_is_loaded() {
    let mut setup = Setup::new();
    let mut first = setup.adopt(load(1, HOUR)).await;
    setup.transitions.transition(&transition(1));
    assert_eq!(first.event().await.1.sequence, 1);
    let (prepared, (mut second, _)) = tokio::join!(setup.prepare(load(2, HOUR)), setup.loaded());
    first.find_healthy("a", 1).await;
    assert_eq!(setup.verdicts.recv().await.unwrap().generation, 1);

    let subscription = Subscription {
        hook: "hook".to_owned(),
        kinds: [Kind::Router].into(),
        deadline: Duration::from_secs(5),
    };
    let adopt = setup
        .supervisor
        .adopt(prepared.unwrap(), vec![subscription]);
    adopt.await;
    assert_eq!(second.hear().await, Some(ToWorker::Start));
    assert_eq!(first.hear().await, None);
    assert_eq!(second.event().await.1.sequence, 1);
    second.find_healthy("a", 2).await;
    assert_eq!(setup.verdicts.recv().await.unwrap().generation, 2);
    assert_eq!(setup.supervisor.status().restarts, 0);
}

#[tokio::test]
async fn without_a_worker_each_check_gives_faults() {
    let mut setup = Setup::new();
    let worker = setup.adopt(load(1, 200)).await;
    // The next one is waited for, and never says hello.
    drop(worker);
    for _ in 0..4 {
        let verdict = setup.verdicts.recv().await.unwrap();
        let Outcome::NotRun { message } = verdict.outcome else {
            panic!("it ran: {verdict:?}");
        };
        assert_eq!(message, "there is no plugin worker");
    }
}

#[tokio::test]
async fn a_plugin_that_workers_die_of_rests_and_the_others_go_on() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(1, 200)).await;
    for _ in 0..2 {
        worker.note_runs(0, 1);
        worker.note_runs(1, 2);
        worker.find_healthy("b", 1).await;
        setup.verdicts.recv().await.unwrap();
        worker.note_runs(1, 0);
        drop(worker);
        let (next, again) = setup.loaded().await;
        assert_eq!(again.checks.len(), 2);
        worker = next;
        assert_eq!(worker.hear().await, Some(ToWorker::Start));
    }
    worker.note_runs(0, 1);
    drop(worker);

    let (mut worker, rest) = setup.loaded().await;
    let checks: Vec<&str> = rest
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(checks, ["b"]);
    assert_eq!(rest.plugins.len(), 1);
    let quarantined = setup.status(|status| !status.quarantined.is_empty()).await;
    assert!(quarantined.quarantined.contains("plugin-a"));
    worker.find_healthy("b", 1).await;
    let mut told = Vec::new();
    while told.len() < 3 {
        let verdict = setup.verdicts.recv().await.unwrap();
        assert_eq!(verdict.generation, 1);
        match (verdict.check.as_str(), verdict.outcome) {
            ("a", Outcome::NotRun { message }) => {
                assert!(
                    message.starts_with("quarantined: plugin plugin-a"),
                    "{message}"
                );
                told.push("a");
            }
            ("b", Outcome::Report { .. }) => told.push("b"),
            other => panic!("{other:?}"),
        }
    }
    assert!(told.contains(&"b"));
}

#[tokio::test]
async fn a_plugin_that_can_no_longer_be_loaded_rests_and_the_others_go_on() {
    let setup = Setup::new();
    drop(setup.adopt(load(1, HOUR)).await);
    let fault = LoadFault {
        plugin: "plugin-b".to_owned(),
        subject: Subject::Load,
        pointer: None,
        message: "the file is missing".to_owned(),
        help: None,
    };
    setup.worker().await.answer_load(vec![fault]).await;
    let (_worker, rest) = setup.loaded().await;
    assert_eq!(rest.checks.len(), 1);
    assert!(rest.hooks.is_empty());
}

#[tokio::test]
async fn t31_a_worker_that_hangs_is_replaced() {
    let setup = Setup::new();
    let mut hung = setup.adopt(load(1, 50)).await;
    let (mut worker, _) = setup.loaded().await;
    assert_eq!(worker.hear().await, Some(ToWorker::Start));
    assert_eq!(hung.hear().await, None);
    let status = setup.status(|status| status.restarts == 1).await;
    assert!(status.last_end.unwrap().contains("did not answer"));
}

#[tokio::test]
async fn a_worker_that_sends_garbage_is_replaced() {
    let setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    worker.stream.write_all(&[0xff; 64]).await.unwrap();
    setup.loaded().await;
    assert_eq!(worker.hear().await, None);
}

#[tokio::test]
async fn a_worker_of_another_version_is_refused() {
    let setup = Setup::new();
    let other = async {
        let (stream, _) = setup.listener.accept().await.unwrap();
        let mut worker = Worker {
            stream,
            descriptors: Descriptors::default(),
            page: None,
        };
        worker.say_hello(VERSION + 1, ENGINE).await;
        worker.hear().await
    };
    let (result, end) = tokio::join!(setup.prepare(load(1, HOUR)), other);
    let error = result.unwrap_err();
    assert!(matches!(error, LoadError::Start(StartError::Connection(_))));
    assert!(error.to_string().contains("same build"), "{error}");
    assert_eq!(end, None);
}

#[tokio::test]
async fn the_end_waits_for_the_hooks_within_its_limit() {
    let mut setup = Setup::new();
    let mut worker = setup.adopt(load(1, HOUR)).await;
    setup.transitions.transition(&transition(1));
    setup.transitions.transition(&transition(2));
    let hooks = async {
        for _ in 0..2 {
            let (hook, event) = worker.event().await;
            worker.finish_event(&hook, &event, None).await;
        }
        worker.hear().await
    };
    let stop = setup.supervisor.stop(Duration::from_secs(60));
    let ((), end) = tokio::join!(stop, hooks);
    assert_eq!(end, None);

    let mut setup = Setup::new();
    let mut deaf = setup.adopt(load(1, HOUR)).await;
    setup.transitions.transition(&transition(1));
    setup.supervisor.stop(Duration::from_millis(50)).await;
    assert_eq!(deaf.event().await.1.sequence, 1);
    assert_eq!(deaf.hear().await, None);
}

#[tokio::test]
async fn t16_a_file_that_is_gone_changes_nothing_until_the_next_reload() {
    let setup = Setup::new();
    let worker = setup.adopt(load(1, HOUR)).await;
    std::fs::remove_file(component(setup.directory.path())).unwrap();
    drop(worker);
    let (mut worker, again) = setup.loaded().await;
    assert_eq!(again, load(1, HOUR));
    assert_eq!(worker.hear().await, Some(ToWorker::Start));

    let (result, load) = tokio::join!(setup.prepare(load(2, HOUR)), setup.loaded_nothing());
    let Err(LoadError::Faults(faults)) = result else {
        panic!("the file is not there");
    };
    assert!(faults[0].message.contains("there is no file"), "{faults:?}");
    assert_eq!((faults.len(), load.plugins.len()), (1, 0));
}

#[tokio::test]
async fn t14_a_component_that_ends_its_compiler_is_named() {
    let setup = Setup::new();
    std::fs::remove_dir_all(setup.directory.path().join("cache")).unwrap();
    let worker = async {
        let worker = setup.worker().await;
        let mut compiler = setup.worker().await;
        let asked = compiler.hear().await;
        assert!(matches!(asked, Some(ToWorker::Compile { .. })), "{asked:?}");
        drop(compiler);
        // The first one may have been ended by somebody.
        assert_eq!(setup.worker().await.hear().await, asked);
        worker.load_nothing().await
    };
    let (result, _) = tokio::join!(setup.prepare(load(1, HOUR)), worker);
    let Err(LoadError::Faults(faults)) = result else {
        panic!("nothing was compiled");
    };
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].plugin, "plugin-a");
    assert!(faults[0].message.contains("compile limit"), "{faults:?}");
}

#[tokio::test]
async fn code_that_cannot_be_kept_is_used_and_that_is_said() {
    let setup = Setup::new();
    std::fs::remove_dir_all(setup.directory.path().join("cache")).unwrap();
    let worker = async {
        let mut worker = setup.worker().await;
        let mut compiler = setup.worker().await;
        compiler.hear().await;
        let (took_us, fault) = (1, None);
        let answer = frame::encode(&FromWorker::Compiled { took_us, fault }).unwrap();
        let code = Sealed::of("code", b"code").unwrap();
        carrier::send(&compiler.stream, &answer, Some(code.as_fd())).unwrap();
        worker.answer_load(Vec::new()).await;
    };
    let (result, ()) = tokio::join!(setup.prepare(load(1, HOUR)), worker);
    let codes = result.unwrap().worker.codes;
    let why = codes.by_digest[&digest()].not_kept.as_ref();
    assert!(why.is_some_and(|why| why.contains("cache")), "{why:?}");
}

#[tokio::test]
async fn what_another_engine_compiles_is_not_taken() {
    let setup = Setup::new();
    std::fs::remove_dir_all(setup.directory.path().join("cache")).unwrap();
    let worker = async {
        let _worker = setup.worker().await;
        let mut compiler = setup.worker_of("fedcba9876543210").await;
        assert_eq!(compiler.hear().await, None);
    };
    let (result, ()) = tokio::join!(setup.prepare(load(1, HOUR)), worker);
    let replaced = matches!(result, Err(LoadError::Start(StartError::OtherEngine)));
    assert!(replaced, "the configuration is not at fault");
}

#[tokio::test]
async fn what_the_compiler_says_is_told() {
    let setup = Setup::new();
    std::fs::remove_dir_all(setup.directory.path().join("cache")).unwrap();
    let worker = async {
        let worker = setup.worker().await;
        let mut compiler = setup.worker().await;
        compiler.hear().await;
        let fault = CompileFault {
            message: "is not a valid component: it is empty".to_owned(),
            help: None,
        };
        let took_us = 1;
        let fault = Some(fault);
        compiler.say(&FromWorker::Compiled { took_us, fault }).await;
        worker.load_nothing().await
    };
    let (result, _) = tokio::join!(setup.prepare(load(1, HOUR)), worker);
    let Err(LoadError::Faults(faults)) = result else {
        panic!("nothing was compiled");
    };
    assert!(faults[0].message.ends_with("it is empty"), "{faults:?}");
}
