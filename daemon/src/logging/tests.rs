use std::io::{BufRead, BufReader, pipe};
use std::os::unix::net::UnixDatagram;

use tracing::subscriber::with_default;

use super::queue::CAPACITY;
use super::*;

/// More than a queue and any socket or pipe buffer hold.
const LINES: usize = 10 * CAPACITY;

fn log_a_lot() {
    for line in 0..LINES {
        tracing::info!(line, "{}", "x".repeat(100));
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
    let (reader, writer) = pipe().unwrap();
    let queue = Queue::start(WriteSink(writer)).unwrap();
    let lines = queue.clone();
    let layer = fmt::layer()
        .with_ansi(false)
        .with_writer(move || lines.clone());
    with_default(tracing_subscriber::registry().with(layer), log_a_lot);
    let dropped = queue.dropped();
    assert!(dropped > 0);

    let mut told = 0;
    let mut written = 0;
    for line in BufReader::new(reader).lines() {
        let line = line.unwrap();
        match line.split_once(" log lines were dropped") {
            Some((count, _)) => told += count.parse::<u64>().unwrap(),
            None => written += 1,
        }
        if told + written == LINES as u64 {
            break;
        }
    }
    assert_eq!(told, dropped);
}

#[test]
fn a_stopped_journal_costs_lines_and_no_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let queue = Queue::start(JournalSink::to(&path).unwrap()).unwrap();
    let layer = JournalLayer::new(queue.clone());
    with_default(tracing_subscriber::registry().with(layer), log_a_lot);
    let dropped = queue.dropped();
    assert!(dropped > 0);

    let mut told = 0;
    let mut written = 0;
    while told + written < LINES as u64 {
        let mut entry = [0; 1024];
        let length = journal.recv(&mut entry).unwrap();
        let entry = str::from_utf8(&entry[..length]).unwrap();
        match entry.split_once("MAINSTAY_DROPPED=") {
            Some((_, count)) => told += count.trim().parse::<u64>().unwrap(),
            None => written += 1,
        }
    }
    assert_eq!(told, dropped);
}

#[test]
fn an_entry_carries_its_fields() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let queue = Queue::start(JournalSink::to(&path).unwrap()).unwrap();
    let layer = JournalLayer::new(queue);
    with_default(tracing_subscriber::registry().with(layer), || {
        tracing::warn!(
            router = "VI_1",
            priority = 80,
            two.lines = "a\nb",
            "now backup"
        );
    });
    let mut entry = [0; 1024];
    let length = journal.recv(&mut entry).unwrap();
    let entry = str::from_utf8(&entry[..length]).unwrap();
    for part in [
        "PRIORITY=4\n",
        "SYSLOG_IDENTIFIER=mainstay\n",
        "MESSAGE\n\u{30}\0\0\0\0\0\0\0now backup router=VI_1 priority=80 two.lines=a\nb\n",
        "MAINSTAY_ROUTER=VI_1\n",
        "MAINSTAY_PRIORITY=80\n",
        "MAINSTAY_TWO_LINES\n\u{3}\0\0\0\0\0\0\0a\nb\n",
    ] {
        assert!(entry.contains(part), "{part:?} is not in {entry:?}");
    }
}

#[test]
fn the_end_waits_for_the_last_line_but_not_for_a_stuck_reader() {
    let (reader, writer) = pipe().unwrap();
    let queue = Queue::start(WriteSink(writer)).unwrap();
    queue.push(b"last".to_vec());
    queue.flush(Duration::from_secs(60));
    let mut line = String::new();
    BufReader::new(&reader).read_line(&mut line).unwrap();
    assert_eq!(line, "last\n");

    while queue.dropped() == 0 {
        queue.push(vec![b'x'; 1000]);
    }
    queue.flush(Duration::from_millis(10));
    drop(reader);
}

#[test]
fn a_line_without_bound_is_cut() {
    let (reader, writer) = pipe().unwrap();
    let queue = Queue::start(WriteSink(writer)).unwrap();
    queue.push(vec![b'x'; 10 * queue::ENTRY_LIMIT]);
    let mut line = String::new();
    BufReader::new(&reader).read_line(&mut line).unwrap();
    assert_eq!(line.len(), queue::ENTRY_LIMIT + 1);
}

#[test]
fn a_journal_that_was_away_is_told_how_much_it_missed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let queue = Queue::start(JournalSink::to(&path).unwrap()).unwrap();
    queue.push(b"MESSAGE=lost\n".to_vec());
    queue.flush(Duration::from_secs(60));
    assert_eq!(queue.dropped(), 1);
    let journal = UnixDatagram::bind(&path).unwrap();
    queue.push(b"MESSAGE=found\n".to_vec());
    let mut entry = [0; 1024];
    let length = journal.recv(&mut entry).unwrap();
    assert!(entry[..length].ends_with(b"MAINSTAY_DROPPED=1\n"));
    let length = journal.recv(&mut entry).unwrap();
    assert_eq!(&entry[..length], b"MESSAGE=found\n");
}

#[test]
fn a_wrong_filter_says_so() {
    let error = Logging::start(Some("mainstay=loud")).unwrap_err();
    assert!(error.to_string().contains("`mainstay=loud`"), "{error}");
}
