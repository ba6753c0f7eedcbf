//! How names of hosts are looked up on this machine: the worker cannot open the files that say so.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;

use mainstay_protocol::{Answer, Refusal};
use nix::ifaddrs::getifaddrs;

use super::asker::Asker;

/// Bytes of each file, at most: as JSON twice as many, and of those two fit into an answer.
const LONGEST: u64 = 60 << 10;

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
    reading.await.map_err(|error| unavailable(&error))?
}

/// Those of the addresses that are this machine's own now. What the kernel sends from does not tell: to
/// an address that is secondary in its subnet, as virtual ones are, it sends from the primary one.
pub(super) async fn own(asker: &Asker, addresses: Vec<IpAddr>) -> Result<Answer, Refusal> {
    if !asker.looks_names_up {
        return Err(Refusal::NotPermitted);
    }
    let looking = tokio::task::spawn_blocking(|| {
        let interfaces = getifaddrs().map_err(|error| unavailable(&error))?;
        let own: BTreeSet<IpAddr> = interfaces.filter_map(|i| ip(&i.address?)).collect();
        let mut addresses = addresses;
        addresses.retain(|address| address.is_loopback() || own.contains(address));
        Ok(Answer::Own { addresses })
    });
    looking.await.map_err(|error| unavailable(&error))?
}

fn ip(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

fn unavailable(error: &dyn Display) -> Refusal {
    Refusal::Unavailable(error.to_string())
}

/// What is no text in ASCII is not for a resolver either: a name with it matches nothing.
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
        _ => Ok(bytes.into_iter().map(plain).collect()),
    }
}

fn plain(byte: u8) -> char {
    match byte {
        b'\n' | b'\t' | b' '..=b'~' => char::from(byte),
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::ToWorker;
    use mainstay_protocol::frame::{decode, encode};

    use super::*;

    #[test]
    fn the_longest_files_fit_into_an_answer_whatever_their_bytes_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        for byte in [b'\n', b'"', b'\\', 0, 0x1b, 0xff] {
            std::fs::write(&path, vec![byte; LONGEST as usize]).unwrap();
            let read = text(path.to_str().unwrap()).unwrap();
            assert_eq!(read.len(), LONGEST as usize);
            let names = Answer::Names {
                resolv_conf: read.clone(),
                hosts: read,
            };
            let answer = ToWorker::Answer {
                id: u64::MAX,
                answer: Ok(names),
            };
            let frame = encode(&answer).unwrap();
            assert_eq!(decode::<ToWorker>(&frame[4..]).unwrap(), answer, "{byte}");
        }
        std::fs::write(&path, vec![b' '; LONGEST as usize + 1]).unwrap();
        let refused = text(path.to_str().unwrap());
        assert!(
            matches!(refused, Err(Refusal::Unavailable(_))),
            "{refused:?}"
        );
    }
}
