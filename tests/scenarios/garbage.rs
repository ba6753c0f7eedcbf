//! Packets that are no good, at line rate, while a failover is going on.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mainstay_lab::forge::{Forged, Forger};
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router, VIRTUAL};
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::setup::{LONG, Stage, Which, lacking};

/// A packet and its time to live.
type Packet = (Vec<u8>, u32);

/// A kind of bad packet, and the reason under which it must be counted.
struct Bad {
    reason: &'static str,
    packet: Packet,
}

/// A packet of the time to live that VRRP asks for.
fn bad(reason: &'static str, bytes: Vec<u8>) -> Bad {
    Bad {
        reason,
        packet: (bytes, 255),
    }
}

/// What is bad in every version, made from an advertisement that would win the election.
fn against(good: &Forged, source: Ipv4Addr) -> Vec<Bad> {
    let forged = |change: fn(&mut Forged)| {
        let mut forged = good.clone();
        change(&mut forged);
        forged.bytes(source)
    };
    let bytes = good.bytes(source);
    vec![
        Bad {
            reason: "hop-limit",
            packet: (bytes.clone(), 254),
        },
        bad("too-short", bytes[..5].to_vec()),
        // Truncated after the header: its count asks for more.
        bad("length", bytes[..10].to_vec()),
        // Longer than its count; and longer than any frame, so that it comes in fragments.
        bad("length", [bytes.as_slice(), &[0; 1200]].concat()),
        bad("length", [bytes.as_slice(), &[0; 9000]].concat()),
        bad("version", forged(|forged| forged.version = 7)),
        bad("type", forged(|forged| forged.kind = 2)),
        bad("checksum", forged(|forged| forged.checksum_error = 1)),
        bad(
            "no-addresses",
            forged(|forged| (forged.count, forged.addresses) = (0, Vec::new())),
        ),
        bad("virtual-router-id", forged(|forged| forged.id = 77)),
    ]
}

fn against_version_3(source: Ipv4Addr) -> Vec<Bad> {
    let good = Forged::version_3(51, 254, 10, VIRTUAL);
    let mut all = against(&good, source);
    let immediate = Forged {
        interval: 0,
        ..good
    };
    all.push(bad("interval-zero", immediate.bytes(source)));
    let other = Forged::version_2(51, 254, 1, "1234", VIRTUAL);
    all.push(bad("version", other.bytes(source)));
    all
}

/// For a router with a password.
fn against_version_2(source: Ipv4Addr) -> Vec<Bad> {
    let good = Forged::version_2(51, 254, 1, "1234", VIRTUAL);
    let mut all = against(&good, source);
    let guessed = Forged::version_2(51, 254, 1, "4321", VIRTUAL);
    let open = Forged {
        interval: 0x0001,
        password: Some([0; 8]),
        ..good.clone()
    };
    let slower = Forged {
        interval: 0x0107,
        ..good.clone()
    };
    let bare = Forged {
        password: None,
        ..good
    };
    let other = Forged::version_3(51, 254, 100, VIRTUAL);
    all.extend([
        bad("authentication-data", guessed.bytes(source)),
        bad("authentication-type", open.bytes(source)),
        bad("interval", slower.bytes(source)),
        bad("length", bare.bytes(source)),
        bad("version", other.bytes(source)),
    ]);
    all
}

/// How often a node has rejected something for a reason, wherever it counts that.
fn rejected(node: &Node, reason: &str) -> Result<u64> {
    let status = node.status()?;
    let everywhere = ["routers", "interfaces"]
        .into_iter()
        .flat_map(|list| status[list].as_array().into_iter().flatten());
    Ok(everywhere
        .filter_map(|place| {
            let counts = if place["counters"].is_null() {
                place
            } else {
                &place["counters"]
            };
            counts["rejected"][reason].as_u64()
        })
        .sum())
}

/// Each kind alone: it is counted by its reason, and nothing else happens.
fn counted(
    scenario: &str,
    router: fn(u8) -> Router,
    kinds: fn(Ipv4Addr) -> Vec<Bad>,
) -> Result<()> {
    if lacking(scenario, &[Mainstay]) {
        return Ok(());
    }
    const EACH: u64 = 20;
    let mut stage = Stage::pair(router)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let watch = AddressWatch::on(stage.a.host())?;
    let forger = Forger::on(&stage.client)?;
    for Bad { reason, packet } in kinds(stage.client.address()) {
        let before = rejected(&stage.a, reason)?;
        for _ in 0..EACH {
            forger.send_bytes(&packet.0, packet.1)?;
        }
        let mut after = 0;
        wait::until_true(SOON, &format!("{reason} is counted"), || {
            after = rejected(&stage.a, reason)?;
            Ok(after >= before + EACH)
        })
        .with_context(|| format!("{before} before, {after} after {EACH} more"))?;
        assert_eq!(after, before + EACH, "{reason}");
    }
    let router = stage.a.router("VI_1")?;
    assert_eq!(router["state"], "active");
    assert_eq!(router["counters"]["received"], 0, "{router}");
    assert_eq!(router["peer"], Value::Null, "{router}");
    assert_eq!(watch.of(VIRTUAL), [], "the address moved");
    Ok(())
}

#[test]
fn version_3_is_counted_by_reason() -> Result<()> {
    counted(
        "version_3_is_counted_by_reason",
        Router::fast,
        against_version_3,
    )
}

#[test]
fn version_2_is_counted_by_reason() -> Result<()> {
    counted(
        "version_2_is_counted_by_reason",
        Router::introduction,
        against_version_2,
    )
}

/// All of it and random bytes as fast as they can be sent, while a dies and b takes over.
fn failover_in_a_flood(
    scenario: &str,
    router: fn(u8) -> Router,
    kinds: fn(Ipv4Addr) -> Vec<Bad>,
) -> Result<()> {
    if lacking(scenario, &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(router)?;
    stage.start()?;
    let kinds = kinds(stage.client.address());
    let before = counts(&stage.b, &kinds)?;
    let forger = Forger::on(&stage.client)?;
    let packets: Vec<Packet> = kinds.iter().map(|bad| bad.packet.clone()).collect();
    let over = AtomicBool::new(false);
    let (flood, result) = thread::scope(|scope| {
        let over = &over;
        let flood = scope.spawn(move || flood(&forger, &packets, Some(Noise::new()), over));
        let result = in_the_flood(&mut stage);
        over.store(true, Ordering::Relaxed);
        (flood.join(), result)
    });
    result?;
    let flood = flood.map_err(|_| anyhow::anyhow!("the flood ended early"))??;
    let after = counts(&stage.b, &kinds)?;
    let dropped = stage.b.status()?["packets-dropped"].clone();
    eprintln!("{flood}; b's counts before {before:?}, after {after:?}, dropped {dropped}");
    assert!(flood.rate() > 10_000.0, "no flood: {flood}");
    for ((reason, before), (_, after)) in before.iter().zip(&after) {
        assert!(after > before, "{reason} was not counted");
    }
    // And it is over: nothing is left of it but numbers.
    stage.a.start()?;
    stage.until_only(Which::A, LONG)
}

#[test]
fn version_3_fails_over_in_a_flood() -> Result<()> {
    failover_in_a_flood(
        "version_3_fails_over_in_a_flood",
        Router::fast,
        against_version_3,
    )
}

#[test]
fn version_2_fails_over_in_a_flood() -> Result<()> {
    failover_in_a_flood(
        "version_2_fails_over_in_a_flood",
        Router::introduction,
        against_version_2,
    )
}

/// Packets that are counted and nothing else, as fast as they can be sent, into the buffer that the
/// peer's are in: soon they are in another one.
#[test]
fn who_floods_is_kept_apart_until_it_is_quiet() -> Result<()> {
    if lacking("who_floods_is_kept_apart_until_it_is_quiet", &[Mainstay]) {
        return Ok(());
    }
    // Slow enough for b to stand still for a moment and miss nothing.
    let mut stage = Stage::pair(|priority| Router {
        interval: Duration::from_millis(300),
        ..Router::fast(priority)
    })?;
    stage.start()?;
    let b = AddressWatch::on(stage.b.host())?;
    let source = stage.client.address();
    let forged = Forged {
        checksum_error: 1,
        ..Forged::version_3(51, 254, 10, VIRTUAL)
    };
    let packets = vec![(forged.bytes(source), 255)];
    let forger = Forger::on(&stage.client)?;
    let over = AtomicBool::new(false);
    let (flood, result) = thread::scope(|scope| {
        let over = &over;
        let flood = scope.spawn(move || flood(&forger, &packets, None, over));
        let result = kept_apart(&stage, source);
        over.store(true, Ordering::Relaxed);
        (flood.join(), result)
    });
    let flood = flood.map_err(|_| anyhow::anyhow!("the flood ended early"))??;
    eprintln!("{flood}");
    result?;
    wait::until_true(LONG, "the flood is said to be over", || {
        Ok(stage
            .b
            .log()?
            .contains(&format!("{source} no longer floods")))
    })?;
    assert_eq!(b.of(VIRTUAL), [], "b took over although a was there");
    Ok(())
}

/// How long b stands still: a buffer of the kernel's default size holds a few hundred packets.
const STILL: Duration = Duration::from_millis(100);

/// Until b has told that it keeps the source apart, and then has heard a for a while.
fn kept_apart(stage: &Stage, source: Ipv4Addr) -> Result<()> {
    // On a slow machine the flood does not fill the buffer by itself: b reads faster.
    let daemon = stage.b.process()?;
    wait::until_true(LONG, "b tells of the flood", || {
        daemon.signal(Signal::SIGSTOP)?;
        thread::sleep(STILL);
        daemon.signal(Signal::SIGCONT)?;
        Ok(stage.b.log()?.contains(&format!("{source} floods")))
    })?;
    // What the kernel has dropped is known when the next packet has been read.
    hears_more(stage, 1)?;
    let counted = rejected(&stage.b, "checksum")?;
    // Where b does not get to run for a while, a packet is dropped now and then all the same.
    let dropped = || -> Result<_> { Ok(stage.b.status()?["packets-dropped"].clone()) };
    wait::until_true(LONG, "b hears a for a while and nothing is dropped", || {
        let before = dropped()?;
        hears_more(stage, 2 * TWO_DOWN_INTERVALS)?;
        Ok(dropped()? == before)
    })?;
    // Not by assertions: a panic here would leave the flood without an end.
    ensure!(
        rejected(&stage.b, "checksum")? > counted,
        "not counted any more"
    );
    let log = stage.b.log()?;
    let peer = stage.a.host().address();
    ensure!(!log.contains(&format!("{peer} floods")), "{log}");
    Ok(())
}

/// Waits until b has heard so many more advertisements of a.
fn hears_more(stage: &Stage, advertisements: u64) -> Result<()> {
    let received = || -> Result<_> { Ok(stage.b.router("VI_1")?["counters"]["received"].as_u64()) };
    let heard = received()?.context("no counter")?;
    wait::until_true(LONG, "b hears a through the flood", || {
        Ok(received()? >= Some(heard + advertisements))
    })
}

/// How often a node has counted each reason that these are rejected for.
fn counts(node: &Node, kinds: &[Bad]) -> Result<Vec<(&'static str, u64)>> {
    kinds
        .iter()
        .map(|bad| Ok((bad.reason, rejected(node, bad.reason)?)))
        .collect()
}

/// What a flood came to.
struct Flood {
    packets: u64,
    took: Duration,
}

impl Flood {
    /// Packets per second.
    fn rate(&self) -> f64 {
        self.packets as f64 / self.took.as_secs_f64()
    }
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, took } = self;
        write!(
            f,
            "{packets} bad packets in {took:.1?}, {:.0} per second",
            self.rate()
        )
    }
}

/// Sends each of these, if wanted with random bytes in between, again and again until it is over.
fn flood(
    forger: &Forger,
    packets: &[Packet],
    mut noise: Option<Noise>,
    over: &AtomicBool,
) -> Result<Flood> {
    let begin = Instant::now();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        for (packet, time_to_live) in packets {
            forger.send_bytes(packet, *time_to_live)?;
            sent += 1;
            if let Some(noise) = &mut noise {
                forger.send_bytes(&noise.bytes(), 255)?;
                sent += 1;
            }
        }
    }
    Ok(Flood {
        packets: sent,
        took: begin.elapsed(),
    })
}

/// In advertisements: a down interval is less than four of them.
const TWO_DOWN_INTERVALS: u64 = 8;

fn in_the_flood(stage: &mut Stage) -> Result<()> {
    let b = AddressWatch::on(stage.b.host())?;
    hears_more(stage, TWO_DOWN_INTERVALS)?;
    assert_eq!(b.of(VIRTUAL), [], "b took over although a was there");
    stage.a.kill()?;
    stage.a.host().ip("addr del 192.168.1.100/24 dev eth0")?;
    stage.until_only(Which::B, LONG)?;
    stage.b.until_state(SOON, "active")?;
    // Long enough for it to be shaken.
    stage.capture.clear();
    wait::until_true(LONG, "b advertises for two down intervals", || {
        let advertised = stage.capture.seen().from(stage.b.host().address());
        Ok(advertised.len() as u64 > TWO_DOWN_INTERVALS)
    })?;
    let changes = b.of(VIRTUAL);
    assert_eq!(changes.len(), 1, "{changes:?}");
    Ok(())
}

/// Random bytes without a dependency: xorshift.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x6d61_696e_7374_6179)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Every other one for the router that listens, as far as it is long enough to say so.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % 64;
        let mut bytes: Vec<u8> = (0..length).map(|_| self.next().to_be_bytes()[3]).collect();
        if let (Some(id), true) = (bytes.get_mut(1), self.next().is_multiple_of(2)) {
            *id = 51;
        }
        bytes
    }
}

/// An honest router with a better priority, for comparison: the same forger is believed when it
/// sends what is right, so the counts above are not due to its being unheard.
#[test]
fn a_valid_advertisement_is_believed() -> Result<()> {
    if lacking("a_valid_advertisement_is_believed", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::pair(Router::fast)?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let forger = Forger::on(&stage.client)?;
    let good = Forged::version_3(51, 254, 10, VIRTUAL);
    wait::until_true(SOON, "a gives way", || {
        forger.send(&good)?;
        Ok(!stage.a.holds(VIRTUAL)? && stage.a.router("VI_1")?["state"] == "backup")
    })
}
