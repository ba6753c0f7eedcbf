//! Metrics over HTTP, for whoever scrapes: one document, to a few at a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Connections at a time; another one is closed at once.
const CONNECTIONS: usize = 4;

/// How long one may last, however slowly its client writes or reads.
const LIMIT: Duration = Duration::from_secs(10);

/// For how long a text is given to everybody who asks.
const FRESH: Duration = Duration::from_secs(1);

/// Pause until an address that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(5);

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves at the address that `listen` says, and at another one when it says so. `render` makes the
/// text; nothing when there is none to be had.
pub(crate) async fn serve<F>(
    mut listen: watch::Receiver<Option<SocketAddr>>,
    render: impl Fn() -> F + Send + Sync + 'static,
) where
    F: Future<Output = Option<String>> + Send + 'static,
{
    let page = Arc::new(Page::new(render));
    loop {
        let address = *listen.borrow_and_update();
        let served = async {
            match address {
                Some(address) => serve_at(address, &page).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = served => {}
            changed = listen.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

async fn serve_at<F, R>(address: SocketAddr, page: &Arc<Page<R>>)
where
    F: Future<Output = Option<String>> + Send + 'static,
    R: Fn() -> F + Send + Sync + 'static,
{
    let mut told = false;
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(error) if told => tracing::debug!(%address, %error, "no metrics here yet"),
            Err(error) => {
                tracing::error!(%address, "metrics cannot be served here: {error}; trying again");
                told = true;
            }
        }
        sleep(AGAIN).await;
    };
    tracing::info!(%address, "metrics are served here");
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors or memory, most likely: others may let some go.
                tracing::debug!(%error, "a connection for metrics could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            continue;
        };
        let page = Arc::clone(page);
        tokio::spawn(async move {
            let _permit = permit;
            // Who is slow is sent away; there is nobody to tell.
            let _ = timeout(LIMIT, answer(stream, page)).await;
        });
    }
}

async fn answer<F, R>(stream: TcpStream, page: Arc<Page<R>>)
where
    F: Future<Output = Option<String>> + Send + 'static,
    R: Fn() -> F + Send + Sync + 'static,
{
    let service = service_fn(|request| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(page.respond(&request).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection for metrics ended early");
    }
}

/// The text, made anew when it is asked for and not fresh any more.
struct Page<R> {
    render: R,
    made: Mutex<Option<(Instant, Bytes)>>,
}

impl<F, R> Page<R>
where
    F: Future<Output = Option<String>> + Send + 'static,
    R: Fn() -> F + Send + Sync + 'static,
{
    fn new(render: R) -> Self {
        Self {
            render,
            made: Mutex::new(None),
        }
    }

    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let plain = |status: StatusCode, text: &'static str| {
            let mut response = Response::new(Full::from(text));
            *response.status_mut() = status;
            response
        };
        if request.uri().path() != "/metrics" {
            return plain(
                StatusCode::NOT_FOUND,
                "there is /metrics and nothing else\n",
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
            let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        let Some(text) = self.text().await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the daemon is ending\n");
        };
        let mut response = Response::new(Full::new(text));
        let kind = hyper::header::HeaderValue::from_static(TYPE);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    async fn text(&self) -> Option<Bytes> {
        let mut made = self.made.lock().await;
        if let Some((at, text)) = &*made
            && at.elapsed() < FRESH
        {
            return Some(text.clone());
        }
        // Let go of the old one first: two are more than needed.
        *made = None;
        let text = Bytes::from((self.render)().await?);
        *made = Some((Instant::now(), text.clone()));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Larger than the buffers of a socket.
    const LENGTH: usize = 32 << 20;

    struct Served {
        address: SocketAddr,
        rendered: Arc<AtomicUsize>,
        listen: watch::Sender<Option<SocketAddr>>,
    }

    async fn served(length: usize) -> Served {
        // A free port: somebody else may take it meanwhile, and then it is tried again.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (listen, receiver) = watch::channel(Some(address));
        let rendered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&rendered);
        tokio::spawn(serve(receiver, move || {
            count.fetch_add(1, SeqCst);
            async move { Some("x".repeat(length)) }
        }));
        Served {
            address,
            rendered,
            listen,
        }
    }

    impl Served {
        async fn connect(&self) -> TcpStream {
            loop {
                if let Ok(stream) = TcpStream::connect(self.address).await {
                    return stream;
                }
                tokio::task::yield_now().await;
            }
        }

        async fn ask(&self, request: &str) -> String {
            let mut stream = self.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // A reset is an answer too.
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        }
    }

    const GET: &str = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test]
    async fn one_text_serves_everybody_for_a_moment() {
        let served = served(10).await;
        let begin = Instant::now();
        for _ in 0..20 {
            let answer = served.ask(GET).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.contains(TYPE), "{answer}");
            assert!(answer.ends_with("\r\n\r\nxxxxxxxxxx"), "{answer}");
        }
        let most = 1 + begin.elapsed().as_secs() as usize;
        assert!(served.rendered.load(SeqCst) <= most);
    }

    #[tokio::test]
    async fn nothing_else_is_answered_but_told_so() {
        let served = served(10).await;
        for (request, answer) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404"),
            (
                "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 405",
            ),
            ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"),
            ("\0\x01\x02 garbage\r\n\r\n", "HTTP/1.1 400"),
        ] {
            let answered = served.ask(request).await;
            assert!(answered.starts_with(answer), "{request:?}: {answered}");
            assert!(!answered.contains("xxxxxxxxxx"));
        }
        let long = format!(
            "GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n",
            "y".repeat(1 << 20)
        );
        assert!(!served.ask(&long).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn who_neither_writes_nor_reads_takes_a_place_and_no_more() {
        let served = served(LENGTH).await;
        let mut slow = Vec::new();
        for number in 0..CONNECTIONS {
            let mut stream = served.connect().await;
            // Half of them ask and do not read.
            if number % 2 == 0 {
                stream.write_all(GET.as_bytes()).await.unwrap();
            }
            slow.push(stream);
        }
        // A fifth is closed unheard, until one of them goes.
        assert_eq!(served.ask(GET).await, "");
        slow.pop();
        loop {
            if served.ask(GET).await.len() > LENGTH {
                break;
            }
        }
    }

    #[tokio::test]
    async fn another_address_takes_the_place_of_the_first() {
        let served = served(10).await;
        assert!(served.ask(GET).await.contains(" 200 "));
        served.listen.send(None).unwrap();
        while TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        served.listen.send(Some(served.address)).unwrap();
        assert!(served.ask(GET).await.contains(" 200 "));
    }
}
