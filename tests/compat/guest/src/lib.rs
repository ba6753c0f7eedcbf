//! What the golden components have in common: a call of every stable interface of the contract.

use std::fmt::Debug;

use mainstay_plugin::bindings::host::mainstay::plugin as wit;
use wit::{
    budget, common, fifo, http, log, network, probe, process, routers, secrets, services, state,
};

/// Calls every interface once and says of each what came of it: `process="not-permitted" state=7 …`.
pub fn everything() -> String {
    let secret = secrets::get("golden").map(|secret| secret.reveal());
    let secret = secret.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if let Ok(secret) = &secret {
        log::write(log::Level::Info, &format!("golden {secret}"), &[]);
    }
    let name = process::Selector::Name("golden".to_owned());
    let response = http::fetch(&request());
    [
        said::<_, ()>("budget", Ok(budget::remaining_ms() > 0)),
        said("process", process::count(&name).map_err(|e| e.name())),
        said("probe", probe::tcp_connect(&endpoint(), &options())),
        said(
            "fifo",
            fifo::write("/run/golden", "golden").map_err(|e| e.name()),
        ),
        said("http", response.map(|response| response.status)),
        said("secrets", secret.map_err(|e| e.name())),
        said("state", state::increment("golden", 1).map_err(|e| e.name())),
        said(
            "routers",
            routers::all().map(|all| all.len()).map_err(|e| e.name()),
        ),
        said(
            "services",
            services::all().map(|all| all.len()).map_err(|e| e.name()),
        ),
    ]
    .join(" ")
}

fn said<T: Debug, E: Debug>(interface: &str, result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{interface}={value:?}"),
        Err(error) => format!("{interface}={error:?}"),
    }
}

fn endpoint() -> common::Endpoint {
    common::Endpoint {
        address: "127.0.0.1".to_owned(),
        port: 9,
    }
}

fn options() -> network::Options {
    network::Options {
        timeout_ms: 1000,
        source: None,
        fwmark: None,
        attributes: Vec::new(),
    }
}

fn request() -> http::Request {
    http::Request {
        method: "GET".to_owned(),
        url: "http://127.0.0.1:9/".to_owned(),
        connect_to: None,
        headers: Vec::new(),
        body: None,
        tls: None,
        options: options(),
        max_body: 1024,
    }
}
