//! Lines for named pipes.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mainstay_protocol::{PipeAnswer, Refusal};
use rustix::fs::OFlags;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::asker::Asker;

/// Bytes of a line with its line break, at most: what a pipe takes whole or not at all (`PIPE_BUF`).
const WHOLE: usize = 4096;

/// Writes a line to a pipe that the plugin is granted. `turns` bounds the threads that may hang on a file system.
pub(super) async fn write(
    asker: &Asker,
    turns: &Semaphore,
    path: &str,
    line: &str,
) -> Result<PipeAnswer, Refusal> {
    let granted = asker.fifo.iter().find(|pipe| *pipe == Path::new(path));
    let path: PathBuf = granted.ok_or(Refusal::NotPermitted)?.clone();
    if line.len() >= WHOLE || line.contains(['\n', '\r', '\0']) {
        return Err(Refusal::Invalid("this is not one line".to_owned()));
    }
    let line = format!("{line}\n");
    let _turn = turns.acquire().await.map_err(|_| Refusal::Busy)?;
    let written = spawn_blocking(move || put(&path, line.as_bytes()));
    match written.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(super::system(error)),
        Err(error) => Err(Refusal::Unavailable(error.to_string())),
    }
}

/// Never waits for a reader: the pipe is opened without.
fn put(path: &Path, line: &[u8]) -> io::Result<PipeAnswer> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let opened = File::options().write(true).custom_flags(flags).open(path);
    let mut pipe = match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(PipeAnswer::NoReader),
        // ENXIO: nobody has it open for reading.
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENXIO as i32) => {
            return Ok(PipeAnswer::NoReader);
        }
        opened => opened?,
    };
    if !pipe.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is not a named pipe"));
    }
    match pipe.write(line) {
        Ok(length) if length == line.len() => Ok(PipeAnswer::Written),
        // So much the kernel writes at once or not at all.
        Ok(_) => Err(io::Error::other("it took half a line")),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(PipeAnswer::Full),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(PipeAnswer::NoReader),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn asker(path: &Path) -> Asker {
        Asker {
            fifo: vec![path.to_owned()],
            ..Asker::default()
        }
    }

    fn pipe() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        (directory, path)
    }

    fn reader(path: &Path) -> File {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .unwrap()
    }

    async fn write_to(path: &Path, line: &str) -> Result<PipeAnswer, Refusal> {
        let turns = Semaphore::new(1);
        write(&asker(path), &turns, path.to_str().unwrap(), line).await
    }

    #[tokio::test]
    async fn a_line_arrives_whole_when_somebody_reads() {
        let (_directory, path) = pipe();
        assert_eq!(write_to(&path, "early").await, Ok(PipeAnswer::NoReader));
        let reader = reader(&path);
        let long = "x".repeat(4095);
        assert_eq!(write_to(&path, "hello").await, Ok(PipeAnswer::Written));
        assert_eq!(write_to(&path, &long).await, Ok(PipeAnswer::Written));
        let lines: Vec<String> = BufReader::new(reader)
            .lines()
            .take(2)
            .map(Result::unwrap)
            .collect();
        assert_eq!(lines, ["hello".to_owned(), long]);
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_empties_fills_up() {
        let (_directory, path) = pipe();
        let _reader = reader(&path);
        let line = "x".repeat(4095);
        let mut written = 0;
        loop {
            match write_to(&path, &line).await {
                Ok(PipeAnswer::Written) => written += 1,
                other => break assert_eq!(other, Ok(PipeAnswer::Full)),
            }
        }
        assert!(written > 0);
    }

    #[tokio::test]
    async fn only_pipes_that_are_granted_and_only_lines() {
        let (directory, path) = pipe();
        let _reader = reader(&path);
        let turns = Semaphore::new(1);
        let other = write(&asker(&path), &turns, "/run/other", "x").await;
        assert_eq!(other, Err(Refusal::NotPermitted));
        for line in ["a\nb", "a\rb", "a\0b", &"x".repeat(4096)] {
            let refused = write_to(&path, line).await;
            assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
        }
        let missing = directory.path().join("missing");
        assert_eq!(write_to(&missing, "x").await, Ok(PipeAnswer::NoReader));
    }

    #[tokio::test]
    async fn a_file_or_a_link_in_place_of_a_pipe_is_not_written_to() {
        let (directory, path) = pipe();
        let _reader = reader(&path);
        let file = directory.path().join("file");
        std::fs::write(&file, "before").unwrap();
        assert!(write_to(&file, "x").await.is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(write_to(&link, "x").await.is_err());
        assert!(write_to(directory.path(), "x").await.is_err());
    }
}
