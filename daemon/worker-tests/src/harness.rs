//! Starts the executable and speaks its protocol.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mainstay_protocol::carrier::Carrier;
use mainstay_protocol::{
    Anatomy, Answer, CheckSpec, CompileFault, FromWorker, Grants, HookSpec, Limits, Load,
    LoadFault, Outcome, PluginInfo, PluginSpec, Question, Refusal, Run, RunReport, Sealed, Subject,
    ToWorker, frame, in_flight,
};
use serde_json::{Value, json};

/// Longest wait for a frame. Only a worker that hangs comes near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The executable under test.
///
/// # Panics
/// When it has not been built: a test that finds nothing to test must not pass.
pub fn executable() -> PathBuf {
    let build = std::env::var_os("MAINSTAY_BUILD").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let path = build.join("release/mainstay-worker");
    assert!(
        path.is_file(),
        "{} is missing: run `make build`, or name its target directory in MAINSTAY_BUILD",
        path.display()
    );
    path
}

/// A worker that said hello.
pub struct Worker {
    child: Child,
    stream: Option<Carrier<UnixStream>>,
    /// Where it notes its runs, and for how many plugins.
    page: Option<(File, usize)>,
    /// What it says on standard error, and on the stream, where that is listened to.
    errors: Option<JoinHandle<Vec<u8>>>,
    frames: Option<JoinHandle<Vec<u8>>>,
}

/// What to load, with the components.
#[derive(Clone)]
pub struct Setup {
    /// By the name of the plugin.
    pub components: BTreeMap<String, Vec<u8>>,
    /// What goes into the frame; tests may change it at will.
    pub load: Load,
}

impl Setup {
    /// Nothing yet: generation 7, four runs at once.
    pub fn empty() -> Self {
        Self {
            components: BTreeMap::new(),
            load: Load {
                generation: 7,
                max_concurrent_runs: 4,
                unstable: Vec::new(),
                plugins: Vec::new(),
                checks: Vec::new(),
                hooks: Vec::new(),
            },
        }
    }

    /// One plugin `p` and one check `c` of it.
    pub fn with_check(component: &[u8]) -> Self {
        Self::empty().plugin("p", component).check("c", "p")
    }

    /// Adds a plugin without grants; the following calls may change it.
    pub fn plugin(mut self, name: &str, bytes: &[u8]) -> Self {
        self.components.insert(name.to_owned(), bytes.to_vec());
        self.load.plugins.push(PluginSpec {
            name: name.to_owned(),
            code: name.to_owned(),
            grants: Grants::default(),
            limits: Limits::default(),
            secrets: Vec::new(),
        });
        self
    }

    /// Adds a check every 100 ms; the following calls may change it.
    pub fn check(mut self, name: &str, plugin: &str) -> Self {
        self.load.checks.push(CheckSpec {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            settings: json!({}),
            target: None,
            interval_ms: 100,
            jitter_ms: 0,
            timeout_ms: 100,
            quarantine_after: 5,
            quarantine_ms: 60_000,
        });
        self
    }

    /// Adds a hook with a timeout of one second.
    pub fn hook(mut self, name: &str, plugin: &str) -> Self {
        self.load.hooks.push(HookSpec {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            settings: json!({}),
            timeout_ms: 1000,
        });
        self
    }

    /// Settings of the last check.
    pub fn settings(mut self, settings: Value) -> Self {
        self.load.checks.last_mut().unwrap().settings = settings;
        self
    }

    /// Interval and timeout of the last check.
    pub fn timing(mut self, interval_ms: u64, timeout_ms: u64) -> Self {
        let check = self.load.checks.last_mut().unwrap();
        (check.interval_ms, check.timeout_ms) = (interval_ms, timeout_ms);
        self
    }

    /// When the last check rests, and for how long.
    pub fn quarantine(mut self, after: u32, rest_ms: u64) -> Self {
        let check = self.load.checks.last_mut().unwrap();
        (check.quarantine_after, check.quarantine_ms) = (after, rest_ms);
        self
    }

    /// Grants of the last plugin.
    pub fn grants(mut self, grants: Grants) -> Self {
        self.load.plugins.last_mut().unwrap().grants = grants;
        self
    }

    /// Limits of the last plugin.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.load.plugins.last_mut().unwrap().limits = limits;
        self
    }

    /// Loads it and returns what is wrong with it.
    pub fn faults(&self) -> Vec<LoadFault> {
        Worker::start().load(self).1
    }

    /// Loads it, which must succeed.
    pub fn loaded(&self) -> Worker {
        let mut worker = Worker::start();
        let (_, faults) = worker.load(self);
        assert_eq!(faults, []);
        worker
    }

    /// Loads it and runs the check `c` once.
    pub fn run(&self) -> RunReport {
        self.loaded().run("c")
    }
}

impl Worker {
    /// Starts the executable and waits for its hello.
    pub fn start() -> Self {
        Self::start_with(Stdio::inherit())
    }

    /// As [`Self::start`], and takes note of what it says on standard error.
    pub fn start_heard() -> Self {
        let mut worker = Self::start_with(Stdio::piped());
        worker.errors = worker.child.stderr.take().map(listen);
        worker
    }

    fn start_with(errors: Stdio) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new(executable())
            .args(["--fd", "0"])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut worker = Self {
            child,
            stream: Some(Carrier::new(ours)),
            errors: None,
            frames: None,
            page: None,
        };
        match worker.frame() {
            FromWorker::Hello { version, pid, .. } => {
                assert_eq!(version, mainstay_protocol::VERSION);
                assert_eq!(pid, worker.pid());
            }
            other => panic!("no hello: {other:?}"),
        }
        worker
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends one frame.
    pub fn send(&mut self, message: &ToWorker) {
        self.send_bytes(&frame::encode(message).unwrap());
    }

    /// Sends one frame with a descriptor.
    pub fn send_with(&mut self, message: &ToWorker, carried: impl AsFd) {
        let bytes = frame::encode(message).unwrap();
        let stream = self.stream.as_mut().unwrap();
        stream.send(&bytes, Some(carried.as_fd())).unwrap();
    }

    /// Sends what is no frame.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.as_mut().unwrap().send(bytes, None).unwrap();
    }

    /// Reads whatever it says on the stream, from now on and in the background: it never has to wait
    /// until somebody reads.
    pub fn listen(&mut self) {
        let stream = self.stream.take().unwrap().into_inner();
        self.frames = Some(listen(stream.try_clone().unwrap()));
        self.stream = Some(Carrier::new(stream));
    }

    /// Sends what may be a frame, to a worker that may be gone.
    ///
    /// # Errors
    /// When it is.
    pub fn try_send(
        &mut self,
        bytes: &[u8],
        carried: Option<BorrowedFd<'_>>,
    ) -> std::io::Result<()> {
        let stream = self.stream.as_ref().unwrap();
        stream.send(bytes, carried)
    }

    /// What the last frame carried.
    pub fn carried(&mut self) -> Option<Sealed> {
        let descriptor = self.stream.as_mut().unwrap().descriptors.take()?;
        Some(Sealed::try_from(descriptor).unwrap())
    }

    /// The next frame; panics when the worker ended or hangs.
    pub fn frame(&mut self) -> FromWorker {
        frame::read(self.stream.as_mut().unwrap())
            .unwrap()
            .expect("the worker ended")
    }

    /// Skips frames until one is of interest; panics when none is for long.
    pub fn find<T>(&mut self, mut want: impl FnMut(FromWorker) -> Option<T>) -> T {
        let limit = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = want(self.frame()) {
                return found;
            }
            assert!(Instant::now() < limit, "what is waited for does not come");
        }
    }

    /// Has a component compiled by a worker of its own.
    ///
    /// # Errors
    /// What the worker says is wrong with it.
    pub fn compile(component: &[u8]) -> Result<Sealed, CompileFault> {
        let mut compiler = Self::start();
        let plugin = "p".to_owned();
        let component = Sealed::of("component", component).unwrap();
        compiler.send_with(&ToWorker::Compile { plugin }, component);
        let FromWorker::Compiled { fault, .. } = compiler.frame() else {
            panic!("not compiled");
        };
        match fault {
            Some(fault) => Err(fault),
            None => Ok(compiler.carried().unwrap()),
        }
    }

    /// Has a component examined by a worker of its own.
    pub fn examine(component: &[u8]) -> Anatomy {
        let mut worker = Self::start();
        let component = Sealed::of("component", component).unwrap();
        worker.send_with(&ToWorker::Examine, component);
        match worker.frame() {
            FromWorker::Examined(anatomy) => anatomy,
            other => panic!("not examined: {other:?}"),
        }
    }

    /// Compiles and loads. Returns what was found out and what is wrong. As the daemon does, it
    /// leaves out what cannot be compiled.
    pub fn load(&mut self, setup: &Setup) -> (Vec<PluginInfo>, Vec<LoadFault>) {
        let mut load = setup.load.clone();
        let mut codes = Vec::new();
        let mut faults = Vec::new();
        for (name, component) in &setup.components {
            match Self::compile(component) {
                Ok(code) => codes.push((name.clone(), code)),
                Err(CompileFault { message, help }) => {
                    load.plugins.retain(|spec| spec.name != *name);
                    load.checks.retain(|spec| spec.plugin != *name);
                    load.hooks.retain(|spec| spec.plugin != *name);
                    faults.push(LoadFault {
                        plugin: name.clone(),
                        subject: Subject::Load,
                        pointer: None,
                        message,
                        help,
                    });
                }
            }
        }
        self.send_load(&load);
        for (code, sealed) in codes {
            self.send_with(&ToWorker::Code { code }, sealed);
        }
        let (plugins, found) = self.find(|frame| match frame {
            FromWorker::Loaded {
                generation,
                plugins,
                faults,
            } => {
                assert_eq!(generation, load.generation);
                Some((plugins, faults))
            }
            other => panic!("not loaded: {other:?}"),
        });
        faults.extend(found);
        (plugins, faults)
    }

    /// Sends what to load, with a page for runs in flight.
    pub fn send_load(&mut self, load: &Load) {
        let page = in_flight::page(load.plugins.len()).unwrap();
        self.send_with(&ToWorker::Load(load.clone()), &page);
        self.page = Some((page, load.plugins.len()));
    }

    /// How many runs of each plugin it says are going on.
    pub fn in_flight(&self) -> Vec<u32> {
        let (page, plugins) = self.page.as_ref().unwrap();
        in_flight::counts(page, *plugins).unwrap()
    }

    /// Waits until what it says of that is as wanted.
    pub fn until_in_flight(&self, wanted: impl Fn(&[u32]) -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !wanted(&self.in_flight()) {
            assert!(Instant::now() < limit, "{:?}", self.in_flight());
            std::thread::yield_now();
        }
    }

    /// Runs a check once.
    pub fn run(&mut self, check: &str) -> RunReport {
        self.send(&ToWorker::Run(Run {
            check: check.to_owned(),
        }));
        self.find(|frame| match frame {
            FromWorker::Ran(report) => Some(report),
            _ => None,
        })
    }

    /// Runs the check `c` of the plugin `p` once, with a daemon that answers its questions like this.
    pub fn run_answered(
        &mut self,
        answer: impl Fn(Question) -> Result<Answer, Refusal>,
    ) -> RunReport {
        self.send(&ToWorker::Run(Run {
            check: "c".to_owned(),
        }));
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            match self.frame() {
                FromWorker::Ran(report) => return report,
                FromWorker::Ask {
                    id,
                    plugin,
                    question,
                } => {
                    assert_eq!(plugin, "p");
                    let answer = answer(question);
                    self.send(&ToWorker::Answer { id, answer });
                }
                _ => {}
            }
        }
        panic!("the run does not end");
    }

    /// The next verdict of a check.
    pub fn verdict(&mut self, wanted: &str) -> (Outcome, u32) {
        self.find(|frame| match frame {
            FromWorker::Verdict {
                check,
                outcome,
                overruns,
                generation,
                ..
            } if check == wanted => {
                assert_eq!(generation, 7);
                Some((outcome, overruns))
            }
            _ => None,
        })
    }

    /// Waits for its end, which nobody asks for.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends the stream of a worker that is [listened to](Self::listen), as a daemon that ends. Answers
    /// how it ended, and what it said on standard error.
    pub fn abandon_heard(mut self) -> (ExitStatus, String) {
        let stream = self.stream.take().unwrap();
        // It may be gone.
        let _ = stream.into_inner().shutdown(Shutdown::Write);
        self.frames.take().unwrap().join().unwrap();
        let said = self.errors.take().unwrap().join().unwrap();
        (self.child.wait().unwrap(), String::from_utf8(said).unwrap())
    }

    /// Closes the stream, as a daemon that ends, and waits for the worker to end too.
    pub fn abandon(mut self) -> ExitStatus {
        drop(self.stream.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Already gone is fine; anything else shows in the next line.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// Reads to the end, which has to come.
fn listen(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        match from.read_to_end(&mut said) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the worker hangs"),
            // One that ends with something unread resets the stream.
            _ => said,
        }
    })
}
