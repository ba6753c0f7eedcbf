//! Control clients that mean no good: the daemon answers others and loses no advertisement.

use std::io::Write as _;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use mainstay_lab::capture::longest_gap;
use mainstay_lab::client;
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Router, VIRTUAL};
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;

use crate::setup::{LONG, Stage, Which, lacking};

#[test]
fn garbage_is_refused() -> Result<()> {
    if lacking("garbage_is_refused_by_the_control_socket", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.start()?;
    let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes(), body].concat();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("half a length", vec![0, 0]),
        ("a length of four gigabytes", vec![0xff; 4096]),
        ("text", b"status\n\n".to_vec()),
        ("no JSON", framed(b"{{{{")),
        ("unknown JSON", framed(br#"{"explode":true}"#)),
        ("deep JSON", framed("[".repeat(60_000).as_bytes())),
        ("bytes that are no UTF-8", framed(&[0xff, 0xfe, 0x00])),
    ] {
        let mut stream = client::connect(&stage.a)?;
        // It may close before everything has been sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let said = client::rest(stream, Duration::from_secs(15))?;
        let said = String::from_utf8_lossy(&said);
        assert!(
            !said.contains("routers"),
            "{what} was answered with the status"
        );
    }
    assert_eq!(stage.a.router("VI_1")?["state"], "active");
    Ok(())
}

/// Many clients that ask and never read, or never ask: others are answered, advertisements go on.
#[test]
fn clients_that_never_read() -> Result<()> {
    if lacking("clients_that_never_read", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.start()?;
    let watch = AddressWatch::on(stage.a.host())?;
    stage.capture.clear();
    let mut held = Vec::new();
    for _ in 0..40 {
        let stream = client::connect(&stage.a)?;
        stream.set_nonblocking(true)?;
        held.push(stream);
    }
    for stream in &mut held {
        let _ = stream.write(&[0, 0, 0, 8]);
    }
    // Those that only hang on are dropped, so that this one gets its turn.
    let status = wait::until(Duration::from_secs(60), "status is answered", || {
        Ok(stage.a.status().ok())
    })?;
    assert_eq!(status["routers"][0]["state"], "active");
    wait::until_true(LONG, "a advertises forty times", || {
        Ok(stage.capture.seen().from(stage.a.host().address()).len() >= 40)
    })?;
    let seen = stage.capture.seen().from(stage.a.host().address());
    assert!(
        longest_gap(&seen) < Router::fast(90).down_interval(),
        "{:?}",
        longest_gap(&seen)
    );
    assert_eq!(watch.of(VIRTUAL), []);
    drop(held);
    stage.until_only(Which::A, SOON)
}

/// The log's reader has stopped: the daemon goes on without it.
#[test]
fn log_that_nobody_reads() -> Result<()> {
    if lacking("log_that_nobody_reads", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    // A pipe with a full buffer and a reader that never reads.
    let pipe = stage.a.host().files().join("log");
    stage.a.host().command("mkfifo").arg(&pipe).text()?;
    let reader = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&pipe)?;
    stage.a.start()?;
    stage.b.start()?;
    stage.until_only(Which::A, LONG)?;
    let mut filler = reader.try_clone()?;
    // Fills the pipe; the write blocks on its thread for ever, and ends with the process.
    thread::spawn(move || {
        let _ = filler.write_all(&[b'x'; 1 << 20]);
    });
    for _ in 0..5 {
        stage.lab.pull_cable(stage.a.host())?;
        wait::until_true(LONG, "b holds the address", || stage.b.holds(VIRTUAL))?;
        stage.lab.plug_cable(stage.a.host())?;
        stage.until_only(Which::A, LONG)?;
    }
    assert_eq!(stage.a.router("VI_1")?["state"], "active");
    Ok(())
}
