//! A check that asks for what its settings say, and reports in one line what became of it.
//!
//! The message has one part for each step, separated by `; `: what came, or `!` and the error.

mod holding;
mod wasi_http;

use std::fmt::Debug;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use mainstay_plugin::prelude::*;
use mainstay_plugin::probe::TlsOptions;

/// What to do, one after the other.
#[settings]
struct Settings {
    steps: Vec<Step>,
}

/// One thing to ask for.
#[settings]
struct Step {
    /// What.
    ask: Ask,
    /// A URL, a path or an address with its port.
    of: String,
    /// How often; the last answer counts.
    #[serde(default = "once")]
    times: u32,
    /// For `fetch`: the method.
    #[serde(default)]
    method: Option<String>,
    /// For `fetch`: connect to this instead.
    #[serde(default)]
    connect_to: Option<String>,
    /// For `fetch`: a header.
    #[serde(default)]
    header: Option<(String, String)>,
    /// For `fetch`, `wasi-fetch` and the sockets: what to send.
    #[serde(default)]
    send: Option<String>,
    /// For `fetch`: bytes to keep.
    #[serde(default)]
    max_body: Option<u32>,
    /// For `fetch`: PEM of whom to trust.
    #[serde(default)]
    authorities: Option<String>,
    /// For `fetch`: the name that the certificate has to be for.
    #[serde(default)]
    server_name: Option<String>,
    /// For `fetch`: whether the certificate is verified.
    #[serde(default)]
    verify: Option<bool>,
    /// For `fetch` and `hold`: milliseconds.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// What can be asked for.
#[settings]
#[derive(Clone, Copy)]
enum Ask {
    /// The contract's `http`.
    Fetch,
    /// `wasi:http/outgoing-handler`.
    WasiFetch,
    /// A TCP connection of WASI: sends, and reads until the peer closes.
    Tcp,
    /// A datagram of WASI, and one back.
    Udp,
    /// The names in a directory.
    List,
    /// What is in a file.
    Read,
    /// How long a file is.
    Stat,
    /// Writes to a file that is there.
    Write,
    /// Makes or empties a file.
    Create,
    /// Makes a link beside a file to it.
    Link,
    /// Renames a file.
    Rename,
    /// Removes a file.
    Remove,
    /// Makes a directory.
    MakeDirectory,
    /// Has a file open as often as it may, for a while; how often.
    Hold,
    /// Lists a granted directory as often at the same time as it may; how often.
    HoldListings,
}

fn once() -> u32 {
    1
}

struct Asker;

impl Check for Asker {
    type Settings = Settings;

    fn run(settings: Settings, _: &Request) -> Result<Report> {
        let mut parts = Vec::new();
        for step in &settings.steps {
            let mut last = Err(String::new());
            for _ in 0..step.times {
                last = step.ask();
            }
            parts.push(last.unwrap_or_else(|error| format!("!{error}")));
        }
        Ok(Report::healthy(parts.join("; ")))
    }
}

mainstay_plugin::check!(Asker);

impl Step {
    fn ask(&self) -> std::result::Result<String, String> {
        let of = &self.of;
        let done = |()| "done".to_owned();
        match self.ask {
            Ask::Fetch => self.fetch(),
            Ask::WasiFetch => wasi_http::fetch(of, self.send.as_deref()),
            Ask::Tcp => self.tcp().map_err(text),
            Ask::Udp => self.udp().map_err(text),
            Ask::List => list(of).map_err(text),
            Ask::Read => fs::read_to_string(of).map_err(text),
            Ask::Stat => fs::metadata(of)
                .map(|file| file.len().to_string())
                .map_err(text),
            Ask::Write => fs::OpenOptions::new()
                .write(true)
                .open(of)
                .and_then(|mut file| file.write_all(b"x"))
                .map(done)
                .map_err(text),
            Ask::Create => fs::write(of, "x").map(done).map_err(text),
            Ask::Link => fs::hard_link(of, format!("{of}.link"))
                .map(done)
                .map_err(text),
            Ask::Rename => fs::rename(of, format!("{of}.moved"))
                .map(done)
                .map_err(text),
            Ask::Remove => fs::remove_file(of).map(done).map_err(text),
            Ask::MakeDirectory => fs::create_dir(of).map(done).map_err(text),
            Ask::Hold => {
                let wait = Duration::from_millis(self.timeout_ms.unwrap_or_default());
                Ok(holding::files(of, wait))
            }
            Ask::HoldListings => holding::listings(of),
        }
    }

    fn fetch(&self) -> std::result::Result<String, String> {
        let method = self.method.as_deref().unwrap_or("GET");
        let mut request = http::Request::new(method, &self.of);
        if let Some(to) = &self.connect_to {
            let (address, port) = to.rsplit_once(':').ok_or("no port")?;
            request = request.connect_to(&Endpoint {
                address: address.to_owned(),
                port: port.parse().map_err(text)?,
            });
        }
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        if let Some(body) = &self.send {
            request = request.body(body.as_bytes());
        }
        if let Some(bytes) = self.max_body {
            request = request.max_body(bytes);
        }
        if self.authorities.is_some() || self.verify.is_some() {
            request = request.tls(TlsOptions {
                server_name: self.server_name.clone().unwrap_or_default(),
                verify: self.verify.unwrap_or(true),
                authorities: self.authorities.as_ref().map(|pem| pem.as_bytes().to_vec()),
                alpn: Vec::new(),
                attributes: Vec::new(),
            });
        }
        if let Some(milliseconds) = self.timeout_ms {
            request = request.timeout(Duration::from_millis(milliseconds));
        }
        let response = request.send().map_err(text)?;
        let location = response.header("location").unwrap_or_default();
        let cut = if response.truncated { " cut" } else { "" };
        let body = response.text();
        let body: String = body.chars().take(40).collect();
        Ok(format!(
            "{} {location}{}{cut} {body}",
            response.status,
            response.body.len()
        ))
    }

    fn tcp(&self) -> std::io::Result<String> {
        let address: SocketAddr = self.of.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(self.send.as_deref().unwrap_or_default().as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    fn udp(&self) -> std::io::Result<String> {
        let address: SocketAddr = self.of.parse().map_err(std::io::Error::other)?;
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(address)?;
        socket.send(self.send.as_deref().unwrap_or_default().as_bytes())?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply)?;
        Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
    }
}

fn list(directory: &str) -> std::io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(","))
}

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}
