//! The client's view of a virtual address: who answers, and for how long nobody does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::Host;

/// The UDP port of the echo.
const PORT: u16 = 7007;

/// How long a receive waits before it looks whether it is over.
const TICK: Duration = Duration::from_millis(100);

/// Answers each datagram with the datagram and the host's name; ends when dropped.
pub struct Echo {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Begins to answer on every address of a host.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn on(host: &Host) -> Result<Self> {
        let socket = host.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
        socket.set_read_timeout(Some(TICK))?;
        let name = host.name().to_owned();
        let over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let over = Arc::clone(&over);
            move || {
                let mut datagram = [0; 8];
                while !over.load(Ordering::Relaxed) {
                    if let Ok((8, from)) = socket.recv_from(&mut datagram) {
                        // An answer that cannot be sent is one that the client misses.
                        let _ = socket.send_to(&[&datagram, name.as_bytes()].concat(), from);
                    }
                }
            }
        });
        Ok(Self {
            over,
            thread: Some(thread),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One question and what became of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was sent.
    pub at: Instant,
    /// Who answered; `None` when nobody did so far.
    pub answered_by: Option<String>,
}

/// Asks an address at an interval, from a host; ends when dropped.
pub struct Prober {
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Prober {
    /// Begins to ask.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn on(host: &Host, address: Ipv4Addr, interval: Duration) -> Result<Self> {
        let socket = host.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
        socket.set_read_timeout(Some(TICK))?;
        let answers = socket.try_clone()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let ask = {
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    let number = {
                        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                        asked.push(Asked {
                            at: Instant::now(),
                            answered_by: None,
                        });
                        asked.len() as u64 - 1
                    };
                    // A question that cannot be sent (no route, no ARP answer) has no answer either.
                    let _ = socket.send_to(&number.to_be_bytes(), (address, PORT));
                    thread::sleep(interval);
                }
            }
        };
        let listen = {
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            move || {
                let mut datagram = [0; 64];
                while !over.load(Ordering::Relaxed) {
                    match answers.recv(&mut datagram) {
                        Ok(length) => note(&asked, &datagram[..length]),
                        Err(error)
                            if matches!(
                                error.kind(),
                                ErrorKind::WouldBlock | ErrorKind::TimedOut
                            ) => {}
                        // What the kernel reports of an earlier question.
                        Err(_) => {}
                    }
                }
            }
        };
        Ok(Self {
            asked,
            over,
            threads: vec![thread::spawn(ask), thread::spawn(listen)],
        })
    }

    /// Begins to ask a web server by HTTP, each time on a connection of its own.
    ///
    /// # Errors
    /// When the host's network cannot be joined.
    pub fn http(host: &Host, address: Ipv4Addr, interval: Duration) -> Result<Self> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let ask = {
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            move || {
                while !over.load(Ordering::Relaxed) {
                    let at = Instant::now();
                    let answered_by = fetch(address).ok();
                    asked
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(Asked { at, answered_by });
                    thread::sleep(interval);
                }
            }
        };
        let thread = host.enter_network(|| Ok(thread::spawn(ask)))?;
        Ok(Self {
            asked,
            over,
            threads: vec![thread],
        })
    }

    /// Every question so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Who gave the last answer.
    pub fn last_answer(&self) -> Option<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked
            .iter()
            .rev()
            .find_map(|asked| asked.answered_by.clone())
    }

    /// The longest gap so far, as [`longest_gap`] counts it.
    pub fn longest_gap_since(&self, start: Instant) -> Duration {
        longest_gap(&self.asked(), start)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a web server says, within a quarter of a second.
fn fetch(address: Ipv4Addr) -> Result<String> {
    const LIMIT: Duration = Duration::from_millis(250);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, 80)), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.trim_end().to_owned())
}

/// Notes an answer: the number of the question and the name of who answers.
fn note(asked: &Mutex<Vec<Asked>>, datagram: &[u8]) {
    let Some((number, name)) = datagram.split_first_chunk::<8>() else {
        return;
    };
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let question = usize::try_from(u64::from_be_bytes(*number))
        .ok()
        .and_then(|number| asked.get_mut(number));
    if let Some(question) = question {
        question.answered_by = Some(String::from_utf8_lossy(name).into_owned());
    }
}

/// The longest time from the first question without an answer to the next one with an answer, among
/// the questions asked since `start`. A pause of the prober itself is no gap.
pub fn longest_gap(asked: &[Asked], start: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    let mut since = None;
    for question in asked.iter().filter(|question| question.at >= start) {
        match (&question.answered_by, since) {
            (None, None) => since = Some(question.at),
            (Some(_), Some(first)) => {
                longest = longest.max(question.at - first);
                since = None;
            }
            _ => {}
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_what_is_unanswered_between_answers() {
        let start = Instant::now();
        let at = |millis: u64, answered: bool| Asked {
            at: start + Duration::from_millis(millis),
            answered_by: answered.then(|| "a".to_owned()),
        };
        let asked = [
            at(0, true),
            at(10, false),
            at(20, false),
            at(30, true),
            // The prober slept, and nothing was lost.
            at(500, true),
            at(510, false),
        ];
        assert_eq!(longest_gap(&asked, start), Duration::from_millis(20));
        assert_eq!(
            longest_gap(&asked, start + Duration::from_millis(20)),
            Duration::from_millis(10)
        );
    }
}
