use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_core::status::{InterfaceStatus, Status};
use tempfile::TempDir;
use tokio::net::unix::UCred;
use tokio::task::{JoinHandle, spawn_blocking};

use super::client::ClientError;
use super::peer::Standing;
use super::server::{CONNECTIONS, serve_within};
use super::*;
use crate::worker::{ServedPlugin, WorkerStatus};

/// Short enough to wait until silent clients are sent away. On a machine that is held up it sends
/// away others too, who ask again.
const IMPATIENT: Duration = Duration::from_millis(300);

/// A response that fits into no socket's buffer.
const HUGE: usize = 1 << 20;

struct Daemon {
    directory: TempDir,
    task: JoinHandle<()>,
}

impl Daemon {
    /// Sends nobody away for being slow.
    fn start(workers: &[u32]) -> Self {
        Self::within(Duration::MAX, workers)
    }

    fn within(limit: Duration, workers: &[u32]) -> Self {
        let admission = Admission::new(Arc::new(Mutex::new(workers.iter().copied().collect())));
        Self::admitting(limit, move |peer| admission.check(peer))
    }

    fn admitting(
        limit: Duration,
        admit: impl Fn(&UCred) -> Result<Standing, String> + Send + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime_dir = RuntimeDir::take(directory.path()).unwrap();
        let listener = Listener::bind(&runtime_dir).unwrap();
        let task = tokio::spawn(async move {
            let _held = runtime_dir;
            serve_within(limit, listener, admit, answer).await;
        });
        Self { directory, task }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.directory.path().join(SOCKET)).unwrap()
    }

    /// Asks until there is room.
    async fn until_answered(&self) {
        while !matches!(self.ask(Request::Status).await, Ok(Response::Status(_))) {}
    }

    async fn ask(&self, question: Request) -> Result<Response, ClientError> {
        ask(self.directory.path().to_owned(), question).await
    }
}

async fn ask(directory: PathBuf, question: Request) -> Result<Response, ClientError> {
    spawn_blocking(move || client::request(&directory, &question))
        .await
        .unwrap()
}

async fn answer(request: Request) -> Response {
    match request {
        Request::Status => Response::Status(Box::new(document())),
        Request::Explain { router: None } => Response::failed("x".repeat(HUGE)),
        Request::Explain {
            router: Some(router),
        } => Response::failed(format!("there is no router {router}")),
        Request::Metrics => Response::Metrics("# EOF\n".to_owned()),
        Request::Reload => Response::Reloaded {
            warnings: vec!["one".to_owned()],
        },
    }
}

fn document() -> StatusDocument {
    let interface = InterfaceStatus {
        name: "eth0".to_owned(),
        rejected: [("checksum".to_owned(), 3)].into(),
    };
    let worker = WorkerStatus {
        quarantined: ["bad".to_owned()].into(),
        plugins: ["bad", "good"]
            .map(|name| (name.to_owned(), ServedPlugin::default()))
            .into(),
        ..WorkerStatus::default()
    };
    StatusDocument {
        node: "a".to_owned(),
        version: "0.1.0".to_owned(),
        uptime_seconds: 12.5,
        refused_reload: None,
        engine: Status {
            interfaces: vec![interface],
            ..Status::default()
        },
        plugins: PluginStatus::of(&worker),
        worker,
        packets_dropped: 0,
        log_lines_dropped: 0,
    }
}

#[tokio::test]
async fn a_request_is_answered() {
    let daemon = Daemon::start(&[]);
    let warnings = vec!["one".to_owned()];
    let reloaded = daemon.ask(Request::Reload).await.unwrap();
    assert_eq!(reloaded, Response::Reloaded { warnings });
    let router = Some("VI_9".to_owned());
    let explained = daemon.ask(Request::Explain { router }).await.unwrap();
    assert_eq!(explained, Response::failed("there is no router VI_9"));
    let Response::Status(status) = daemon.ask(Request::Status).await.unwrap() else {
        panic!("no status");
    };
    assert_eq!(*status, document());
    let states: Vec<&str> = status.plugins.iter().map(|p| p.worker.as_str()).collect();
    assert_eq!(states, ["quarantined", "idle"]);
}

#[tokio::test]
async fn a_response_larger_than_any_buffer_arrives_whole() {
    let daemon = Daemon::start(&[]);
    let all = Request::Explain { router: None };
    let Response::Failed { message, .. } = daemon.ask(all).await.unwrap() else {
        panic!("not the failure");
    };
    assert_eq!(message.len(), HUGE);
}

#[tokio::test]
async fn garbage_is_answered_and_harms_nobody() {
    let daemon = Daemon::start(&[]);
    for (garbage, part) in [
        (&b"\xff\xff\xff\xff"[..], "over the limit of 65536"),
        (b"GET / HTTP/1.1\r\n\r\n", "over the limit of 65536"),
        (b"\0\0\0\x04nope", "not a message of this version"),
        (b"\0\0\0\x0a\"shutdown\"", "not a message of this version"),
    ] {
        let mut stream = daemon.connect();
        let text = spawn_blocking(move || {
            stream.write_all(garbage).unwrap();
            let mut answer = Vec::new();
            // What the daemon has not read is a reset for us, after its answer.
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        })
        .await
        .unwrap();
        assert!(text.contains(part), "{text}");
    }
    daemon.ask(Request::Status).await.unwrap();
}

/// Says as whom each connection comes, in their order.
fn one_by_one(
    standings: impl IntoIterator<Item = Standing, IntoIter: Send + 'static>,
) -> impl Fn(&UCred) -> Result<Standing, String> + Send {
    let standings = Mutex::new(standings.into_iter());
    move |_| Ok(standings.lock().unwrap().next().unwrap())
}

#[tokio::test]
async fn members_that_say_nothing_keep_nobody_but_members_waiting() {
    let members = std::iter::repeat_n(Standing::Member, CONNECTIONS + 1);
    let then = std::iter::once(Standing::Own).chain(std::iter::repeat(Standing::Member));
    // None of them is ever sent away for its silence.
    let daemon = Daemon::admitting(Duration::MAX, one_by_one(members.chain(then)));
    let mut silent: Vec<UnixStream> = (0..=CONNECTIONS).map(|_| daemon.connect()).collect();
    let mut refused = silent.pop().unwrap();

    let root = daemon.ask(Request::Status).await.unwrap();
    assert_eq!(root, Response::Status(Box::new(document())));
    let text = spawn_blocking(move || {
        let mut text = Vec::new();
        refused.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    assert!(text.await.unwrap().contains("32 connections are open"));

    // One that goes makes room.
    silent.pop();
    daemon.until_answered().await;
}

#[tokio::test]
async fn clients_that_neither_send_nor_read_are_sent_away() {
    let daemon = Daemon::within(IMPATIENT, &[]);
    let silent: Vec<UnixStream> = (0..CONNECTIONS).map(|_| daemon.connect()).collect();
    daemon.until_answered().await;
    drop(silent);

    let deaf: Vec<UnixStream> = (0..CONNECTIONS).map(|_| daemon.connect()).collect();
    for mut stream in &deaf {
        let body = br#"{"explain":{"router":null}}"#;
        let length = u32::try_from(body.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(body).unwrap();
    }
    daemon.until_answered().await;
    drop(deaf);
    assert!(!daemon.task.is_finished());
}

#[tokio::test]
async fn further_clients_are_not_heard_until_others_are_sent_away() {
    let daemon = Daemon::within(IMPATIENT, &[]);
    let mut silent: Vec<UnixStream> = (0..CONNECTIONS).map(|_| daemon.connect()).collect();
    daemon.until_answered().await;
    // By then somebody had been sent away.
    let sent_away = silent.iter_mut().any(|stream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    });
    assert!(sent_away);
}

#[tokio::test]
async fn the_worker_is_refused_though_it_runs_as_the_daemons_user() {
    let daemon = Daemon::start(&[process::id()]);
    let Response::Failed { message, .. } = daemon.ask(Request::Reload).await.unwrap() else {
        panic!("the worker reloaded the daemon");
    };
    assert!(message.contains("plugin worker"), "{message}");
}

#[tokio::test]
async fn a_daemon_that_died_leaves_a_socket_that_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join(SOCKET);
    drop(UnixListener::bind(&socket).unwrap());
    let nobody = ask(directory.path().to_owned(), Request::Status).await;
    let error = nobody.unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert!(error.to_string().contains("is it running?"), "{error}");

    let runtime_dir = RuntimeDir::take(directory.path()).unwrap();
    let listener = Listener::bind(&runtime_dir).unwrap();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(listener);
    assert!(!socket.exists());
    let nobody = ask(directory.path().to_owned(), Request::Status).await;
    assert!(matches!(nobody, Err(ClientError::NotRunning { .. })));
}

#[test]
fn a_runtime_directory_has_one_daemon_at_a_time() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run/mainstay");
    let first = RuntimeDir::take(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    let error = RuntimeDir::take(&path).unwrap_err();
    assert!(matches!(error, RuntimeDirError::Held { .. }), "{error}");
    assert!(error.to_string().contains("--runtime-dir"), "{error}");
    drop(first);
    RuntimeDir::take(&path).unwrap();

    let error = RuntimeDir::take(Path::new("/proc/mainstay")).unwrap_err();
    assert!(matches!(error, RuntimeDirError::Io { .. }), "{error}");
}
