//! One request through `wasi:http`, as the libraries of other languages make it.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme};

use crate::text;

/// The status and the body, or the error.
pub(crate) fn fetch(url: &str, body: Option<&str>) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_scheme(Some(&scheme)).map_err(text)?;
    request.set_authority(Some(authority)).map_err(text)?;
    request.set_path_with_query(Some(path)).map_err(text)?;
    if body.is_some() {
        request.set_method(&Method::Post).map_err(text)?;
    }
    let sent = request.body().map_err(text)?;
    let response = handle(request, Some(RequestOptions::new())).map_err(text)?;
    if let Some(body) = body {
        let stream = sent.write().map_err(text)?;
        for chunk in body.as_bytes().chunks(4096) {
            stream.blocking_write_and_flush(chunk).map_err(text)?;
        }
    }
    OutgoingBody::finish(sent, None).map_err(text)?;
    response.subscribe().block();
    let response = response
        .get()
        .ok_or("no response")?
        .map_err(text)?
        .map_err(text)?;
    let body = response.consume().map_err(text)?;
    let stream = body.stream().map_err(text)?;
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.blocking_read(4096) {
        bytes.extend(chunk);
    }
    let start: String = String::from_utf8_lossy(&bytes).chars().take(40).collect();
    Ok(format!("{} {} {start}", response.status(), bytes.len()))
}
