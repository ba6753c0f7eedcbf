//! How names of hosts are looked up on this machine: the worker cannot open the files that say so.

use std::io::{self, ErrorKind, Read};

use mainstay_protocol::{Answer, Refusal};

use super::asker::Asker;

/// Bytes of each file, at most; two fit into a frame.
const LONGEST: u64 = 64 << 10;

/// The texts as they are now.
pub(super) async fn answer(asker: &Asker) -> Result<Answer, Refusal> {
    if !asker.looks_names_up {
        return Err(Refusal::NotPermitted);
    }
    let reading = tokio::task::spawn_blocking(|| {
        Ok(Answer::Names {
            resolv_conf: text("/etc/resolv.conf")?,
            hosts: text("/etc/hosts")?,
        })
    });
    let unavailable = |error: &dyn std::fmt::Display| Refusal::Unavailable(error.to_string());
    reading.await.map_err(|error| unavailable(&error))?
}

/// Lines whose bytes are no text are not for a resolver either.
fn text(path: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .and_then(|length| match length as u64 > LONGEST {
            true => Err(io::Error::from(ErrorKind::FileTooLarge)),
            false => Ok(()),
        });
    match read {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Refusal::Unavailable(format!("{path}: {error}")))
        }
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
