//! What a child writes to standard error, such as the reason of a panic: into the log of the daemon,
//! and not faster than anybody reads it.

use std::process::ChildStderr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinHandle;

/// Lines that are taken at once.
const BURST: u32 = 200;

/// The time for each further line. Until then a child that writes more waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes of one line; what is longer comes as several.
const LINE: u64 = 1024;

/// Reads until the child ends.
///
/// # Errors
/// When the pipe can't be watched by the runtime.
pub(super) fn relay(pid: u32, pipe: ChildStderr) -> std::io::Result<JoinHandle<()>> {
    let pipe = Receiver::from_owned_fd(pipe.into())?;
    Ok(tokio::spawn(read(pipe, move |line| tell(pid, line))))
}

async fn read(pipe: Receiver, tell: impl Fn(&str)) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    for number in 0_u64.. {
        if number >= u64::from(BURST) {
            tokio::time::sleep(PAUSE).await;
        }
        line.clear();
        match (&mut pipe).take(LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                tell(&text.trim_end().replace(char::is_control, "\u{fffd}"));
            }
        }
    }
}

/// A command has no log; its user reads what comes.
fn tell(pid: u32, line: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::warn!(pid, "the plugin worker says: {line}");
    } else {
        eprintln!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::sync::mpsc;

    use super::*;

    /// What is told of these bytes, `lines` of them at most, and whether the writer still waits then.
    async fn told(bytes: Vec<u8>, lines: usize) -> (Vec<String>, bool) {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let pipe = Receiver::from_owned_fd(OwnedFd::from(reader)).unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&bytes));
        let (sender, receiver) = mpsc::channel();
        let reading = tokio::spawn(read(pipe, move |line| {
            let _ = sender.send(line.to_owned());
        }));
        let taken = tokio::task::spawn_blocking(move || receiver.iter().take(lines).collect());
        let taken = taken.await.unwrap();
        let waits = !writing.is_finished();
        reading.abort();
        (taken, waits)
    }

    #[tokio::test]
    async fn a_line_is_one_line_and_not_endless() {
        let mut bytes = b"one\x1b[2J\n\xfftwo\r\n".to_vec();
        bytes.extend([b'x'; 1500]);
        let (lines, _) = told(bytes, 10).await;
        let expected = [
            "one\u{fffd}[2J",
            "\u{fffd}two",
            &"x".repeat(1024),
            &"x".repeat(476),
        ];
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn who_writes_without_end_has_to_wait() {
        let (lines, waits) = told(b"flood\n".repeat(1 << 20), BURST as usize).await;
        assert_eq!(lines.len(), BURST as usize);
        assert!(waits, "six megabytes fit into no pipe");
    }
}
