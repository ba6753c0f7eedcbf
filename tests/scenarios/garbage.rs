//! Packets that are no good, at line rate, while a failover is going on.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use mainstay_lab::forge::{Forged, Forger};
use mainstay_lab::node::Implementation::Mainstay;
use mainstay_lab::node::{Node, Router, VIRTUAL};
use mainstay_lab::wait::{self, SOON};
use mainstay_lab::watch::AddressWatch;
use serde_json::Value;

use crate::setup::{LONG, Stage, Which, lacking};

/// A packet and its time to live.
type Packet = (Vec<u8>, u32);

/// A kind of bad packet, and the reason under which it must be counted.
struct Bad {
    reason: &'static str,
    packet: Packet,
}

fn bad(reason: &'static str, forged: Forged, source: Ipv4Addr) -> Bad {
    Bad {
        reason,
        packet: (forged.bytes(source), 255),
    }
}

/// Bad packets of every kind for a router of version 3, all of which would win the election.
fn against_version_3(source: Ipv4Addr) -> Vec<Bad> {
    let good = Forged::version_3(51, 254, 10, VIRTUAL);
    let bytes = good.bytes(source);
    vec![
        Bad {
            reason: "hop-limit",
            packet: (bytes.clone(), 254),
        },
        Bad {
            reason: "too-short",
            packet: (bytes[..5].to_vec(), 255),
        },
        Bad {
            // Truncated after the header: its count asks for more.
            reason: "length",
            packet: (bytes[..10].to_vec(), 255),
        },
        Bad {
            // Longer than its count.
            reason: "length",
            packet: ([bytes.as_slice(), &[0; 1200]].concat(), 255),
        },
        bad(
            "version",
            Forged {
                version: 7,
                ..good.clone()
            },
            source,
        ),
        bad(
            "type",
            Forged {
                kind: 2,
                ..good.clone()
            },
            source,
        ),
        bad(
            "checksum",
            Forged {
                checksum_error: 1,
                ..good.clone()
            },
            source,
        ),
        bad(
            "no-addresses",
            Forged {
                count: 0,
                addresses: Vec::new(),
                ..good.clone()
            },
            source,
        ),
        bad(
            "interval-zero",
            Forged {
                interval: 0,
                ..good.clone()
            },
            source,
        ),
        bad("virtual-router-id", Forged { id: 77, ..good }, source),
    ]
}

/// The same for version 2 with a password.
fn against_version_2(source: Ipv4Addr) -> Vec<Bad> {
    let good = Forged::version_2(51, 254, 1, "1234", VIRTUAL);
    vec![
        bad(
            "authentication-data",
            Forged::version_2(51, 254, 1, "4321", VIRTUAL),
            source,
        ),
        bad(
            "authentication-type",
            Forged {
                interval: 0x0001,
                password: Some([0; 8]),
                ..good.clone()
            },
            source,
        ),
        bad(
            "interval",
            Forged {
                interval: 0x0107,
                ..good.clone()
            },
            source,
        ),
        bad(
            "checksum",
            Forged {
                checksum_error: 7,
                ..good.clone()
            },
            source,
        ),
        bad("version", Forged::version_3(51, 254, 100, VIRTUAL), source),
        bad(
            "length",
            Forged {
                password: None,
                ..good
            },
            source,
        ),
    ]
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
    let mut stage = Stage::new((Mainstay, &router(100)), (Mainstay, &router(90)))?;
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

/// The whole lot and random bytes as fast as they can be sent, while a dies and b takes over.
#[test]
fn failover_in_a_flood() -> Result<()> {
    if lacking("failover_in_a_flood", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::new(
        (Mainstay, &Router::fast(100)),
        (Mainstay, &Router::fast(90)),
    )?;
    stage.start()?;
    let forger = Forger::on(&stage.client)?;
    let kinds = against_version_3(stage.client.address());
    let over = AtomicBool::new(false);
    let (sent, result) = thread::scope(|scope| {
        let flood = scope.spawn(|| -> Result<u64> {
            let mut sent = 0;
            let mut noise = Noise(0x6d61_696e_7374_6179);
            while !over.load(Ordering::Relaxed) {
                for Bad { packet, .. } in &kinds {
                    forger.send_bytes(&packet.0, packet.1)?;
                    forger.send_bytes(&noise.bytes(), 255)?;
                    sent += 2;
                }
            }
            Ok(sent)
        });
        let result = in_the_flood(&mut stage);
        over.store(true, Ordering::Relaxed);
        (flood.join(), result)
    });
    result?;
    let sent = sent.map_err(|_| anyhow::anyhow!("the flood ended early"))??;
    assert!(sent > 1000, "only {sent} packets were no flood");
    assert!(rejected(&stage.b, "checksum")? > 0);
    // And it is over: nothing is left of it but numbers.
    stage.a.start()?;
    stage.until_only(Which::A, LONG)
}

fn in_the_flood(stage: &mut Stage) -> Result<()> {
    let b = AddressWatch::on(stage.b.host())?;
    let heard = stage.b.router("VI_1")?["counters"]["received"]
        .as_u64()
        .context("no counter")?;
    wait::until_true(LONG, "b hears a through the flood", || {
        Ok(stage.b.router("VI_1")?["counters"]["received"].as_u64() > Some(heard + 30))
    })?;
    assert_eq!(b.of(VIRTUAL), [], "b took over although a was there");
    stage.a.kill()?;
    stage.a.host().ip("addr del 192.168.1.100/24 dev eth0")?;
    stage.until_only(Which::B, LONG)?;
    stage.b.until_state(SOON, "active")?;
    // Long enough for it to be shaken.
    stage.capture.clear();
    wait::until_true(LONG, "b advertises thirty times", || {
        Ok(stage.capture.seen().from(stage.b.host().address()).len() >= 30)
    })?;
    let changes = b.of(VIRTUAL);
    assert_eq!(changes.len(), 1, "{changes:?}");
    Ok(())
}

/// Random bytes without a dependency: xorshift.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % 64;
        (0..length).map(|_| self.next().to_be_bytes()[3]).collect()
    }
}

/// An honest router with a better priority, for comparison: the same forger is believed when it
/// sends what is right, so the counts above are not due to its being unheard.
#[test]
fn a_valid_advertisement_is_believed() -> Result<()> {
    if lacking("a_valid_advertisement_is_believed", &[Mainstay]) {
        return Ok(());
    }
    let mut stage = Stage::new(
        (Mainstay, &Router::fast(100)),
        (Mainstay, &Router::fast(90)),
    )?;
    stage.a.start()?;
    stage.until_only(Which::A, LONG)?;
    let forger = Forger::on(&stage.client)?;
    let good = Forged::version_3(51, 254, 10, VIRTUAL);
    wait::until_true(SOON, "a gives way", || {
        forger.send(&good)?;
        Ok(!stage.a.holds(VIRTUAL)? && stage.a.router("VI_1")?["state"] == "backup")
    })
}
