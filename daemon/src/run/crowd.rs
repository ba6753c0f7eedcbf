//! Which senders are so loud that their packets must not share a buffer with a peer's. Pure
//! bookkeeping, by the times at which the kernel received the packets.

use std::collections::BTreeMap;
use std::mem;
use std::net::Ipv4Addr;
use std::time::Duration;

use mainstay_core::time::Time;

/// Packets are counted for so long.
const WINDOW: Duration = Duration::from_millis(100);

/// Packets of one source in a window: twice what 255 routers send that advertise every 10 ms.
const LIMIT: u32 = 5_120;

/// The same while the kernel drops packets: who is over this then crowds others out.
const LIMIT_IN_NEED: u32 = LIMIT / 10;

/// Sources that are counted at a time.
const SOURCES: usize = 64;

/// Sources that are demoted at a time.
const DEMOTED: usize = 8;

/// A source that was under the limit for so long is promoted.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// Beginnings told in a [`MINUTE`]: who floods again and again does not flood the log.
const TOLD: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);

/// The sources heard on one interface.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    sources: BTreeMap<Ipv4Addr, Tally>,
    /// Over the limit since the last review, each with the time of a packet that was.
    loud: Vec<(Ipv4Addr, Time)>,
    demoted: Vec<Demoted>,
    /// When beginnings were told, in the last minute.
    told: Vec<Time>,
}

/// Packets of one source in one window; the oldest and most quiet is the least.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Tally {
    /// The number of the window since boot.
    window: u128,
    count: u32,
}

#[derive(Debug)]
struct Demoted {
    address: Ipv4Addr,
    loud_at: Time,
    told: bool,
}

/// A source that is demoted or promoted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Change {
    pub(super) address: Ipv4Addr,
    /// Whether it is demoted now.
    pub(super) demoted: bool,
    /// Whether people are told.
    pub(super) told: bool,
}

impl Crowd {
    /// Counts a packet that the kernel received `at` this time, `in_need` when it had to drop
    /// others.
    pub(super) fn count(&mut self, address: Ipv4Addr, at: Time, in_need: bool) {
        let limit = if in_need { LIMIT_IN_NEED } else { LIMIT };
        if self.tally(address, at) <= limit {
            return;
        }
        let demoted = self.demoted.iter_mut().find(|d| d.address == address);
        if let Some(demoted) = demoted {
            demoted.loud_at = demoted.loud_at.max(at);
        } else if self.loud.len() < SOURCES && !self.loud.iter().any(|(loud, _)| *loud == address) {
            self.loud.push((address, at));
        }
    }

    /// How many packets of this source there were in the window, with this one. A new source takes
    /// the place of the most quiet of the oldest ones when all are taken: many that send one packet
    /// each do not hide one that sends many.
    fn tally(&mut self, address: Ipv4Addr, at: Time) -> u32 {
        let window = at.since_boot().as_millis() / WINDOW.as_millis();
        if self.sources.len() == SOURCES && !self.sources.contains_key(&address) {
            let oldest = self.sources.iter().min_by_key(|(_, tally)| **tally);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.sources.remove(&oldest);
            }
        }
        let tally = self.sources.entry(address).or_default();
        if tally.window != window {
            *tally = Tally { window, count: 0 };
        }
        tally.count = tally.count.saturating_add(1);
        tally.count
    }

    /// Whether a source is demoted.
    pub(super) fn is_demoted(&self, address: Ipv4Addr) -> bool {
        self.demoted.iter().any(|d| d.address == address)
    }

    /// The sources that are demoted, 8 at most.
    pub(super) fn demoted(&self) -> Vec<Ipv4Addr> {
        self.demoted.iter().map(|d| d.address).collect()
    }

    /// Demotes who was loud and promotes who is quiet.
    ///
    /// `believed` tells whether a router listened to this source at that time: it is never demoted,
    /// since a forger could otherwise send a peer away by using its address. `unread` says that
    /// packets of demoted sources may be waiting, so that nobody can be said to be quiet.
    pub(super) fn review(
        &mut self,
        now: Time,
        unread: bool,
        believed: impl Fn(Ipv4Addr, Time) -> bool,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        self.demoted.retain_mut(|demoted| {
            if unread {
                demoted.loud_at = now;
            }
            let stays = now.since(demoted.loud_at) < QUIET && !believed(demoted.address, now);
            if !stays {
                changes.push(Change {
                    address: demoted.address,
                    demoted: false,
                    told: demoted.told,
                });
            }
            stays
        });
        for (address, at) in mem::take(&mut self.loud) {
            if self.demoted.len() == DEMOTED || believed(address, at) {
                continue;
            }
            self.told.retain(|told| now.since(*told) < MINUTE);
            let told = self.told.len() < TOLD;
            if told {
                self.told.push(now);
            }
            self.demoted.push(Demoted {
                address,
                loud_at: now,
                told,
            });
            changes.push(Change {
                address,
                demoted: true,
                told,
            });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn ms(milliseconds: u64) -> Time {
        Time::from_boot(Duration::from_millis(milliseconds))
    }

    fn send(crowd: &mut Crowd, address: Ipv4Addr, at: Time, packets: u32) {
        for _ in 0..packets {
            crowd.count(address, at, false);
        }
    }

    /// With nobody believed and nothing unread.
    fn review(crowd: &mut Crowd, now: Time) -> Vec<(Ipv4Addr, bool)> {
        let changes = crowd.review(now, false, |_, _| false);
        changes.iter().map(|c| (c.address, c.demoted)).collect()
    }

    #[test]
    fn who_is_over_the_limit_in_one_window_is_demoted_until_it_is_quiet() {
        let mut crowd = Crowd::default();
        send(&mut crowd, A, ms(1_000), LIMIT);
        send(&mut crowd, A, ms(1_100), LIMIT);
        send(&mut crowd, B, ms(1_100), LIMIT);
        assert_eq!(review(&mut crowd, ms(1_190)), []);
        send(&mut crowd, A, ms(1_199), 1);
        assert_eq!(review(&mut crowd, ms(1_200)), [(A, true)]);
        assert_eq!(crowd.demoted(), [A]);
        assert!(crowd.is_demoted(A) && !crowd.is_demoted(B));

        // It goes on, then keeps to what an honest sender may do.
        send(&mut crowd, A, ms(1_500), LIMIT + 1);
        send(&mut crowd, A, ms(2_000), LIMIT);
        assert_eq!(review(&mut crowd, ms(2_499)), []);
        assert_eq!(review(&mut crowd, ms(2_500)), [(A, false)]);
        assert!(crowd.demoted().is_empty());
        assert_eq!(review(&mut crowd, ms(9_000)), []);
    }

    #[test]
    fn less_is_too_much_while_packets_are_dropped() {
        let mut crowd = Crowd::default();
        send(&mut crowd, A, ms(0), LIMIT_IN_NEED);
        send(&mut crowd, B, ms(0), LIMIT_IN_NEED - 1);
        crowd.count(B, ms(0), true);
        assert_eq!(review(&mut crowd, ms(0)), []);
        crowd.count(A, ms(0), true);
        assert_eq!(review(&mut crowd, ms(0)), [(A, true)]);
    }

    #[test]
    fn who_is_believed_is_not_demoted_and_promoted_at_once() {
        let mut crowd = Crowd::default();
        send(&mut crowd, A, ms(50), LIMIT + 1);
        // What counts is the time of its packets, however late they are read.
        let heard = |address, at: Time| address == A && at < ms(99);
        assert_eq!(crowd.review(ms(800), false, heard), []);
        send(&mut crowd, A, ms(850), LIMIT + 1);
        assert_eq!(crowd.review(ms(900), false, heard).len(), 1);
        assert!(crowd.is_demoted(A));
        let changes = crowd.review(ms(950), true, |address, _| address == A);
        assert_eq!(changes.len(), 1);
        assert!(!changes[0].demoted && !crowd.is_demoted(A));
    }

    #[test]
    fn what_was_not_read_is_not_quiet() {
        let mut crowd = Crowd::default();
        send(&mut crowd, A, ms(0), LIMIT + 1);
        assert_eq!(review(&mut crowd, ms(0)), [(A, true)]);
        assert_eq!(crowd.review(ms(5_000), true, |_, _| false), []);
        assert_eq!(review(&mut crowd, ms(5_999)), []);
        assert_eq!(review(&mut crowd, ms(6_000)), [(A, false)]);
    }

    #[test]
    fn one_packet_each_from_many_does_not_hide_who_sends_many() {
        let mut crowd = Crowd::default();
        for number in 0..=LIMIT {
            crowd.count(A, ms(7), false);
            crowd.count(Ipv4Addr::from(number), ms(7), false);
        }
        assert_eq!(crowd.sources.len(), SOURCES);
        assert_eq!(review(&mut crowd, ms(8)), [(A, true)]);
        // And whoever comes in a later window finds a place.
        send(&mut crowd, B, ms(200), LIMIT + 1);
        assert_eq!(review(&mut crowd, ms(201)), [(B, true)]);
    }

    #[test]
    fn neither_the_demoted_nor_the_told_grow_without_bound() {
        let mut crowd = Crowd::default();
        for round in 0..4 {
            let at = ms(round * 2_000);
            for last in 0..12 {
                send(&mut crowd, Ipv4Addr::new(10, 0, 1, last), at, LIMIT + 1);
            }
            let begin = crowd.review(at, false, |_, _| false);
            let end = crowd.review(at + QUIET, false, |_, _| false);
            for (changes, demoted) in [(begin, true), (end, false)] {
                assert_eq!(changes.len(), DEMOTED);
                // Whose beginning was told, of him the end is told too.
                let told = round == 0;
                assert!(
                    changes
                        .iter()
                        .all(|c| (c.demoted, c.told) == (demoted, told))
                );
            }
        }
        send(&mut crowd, A, ms(61_000), LIMIT + 1);
        assert!(crowd.review(ms(61_000), false, |_, _| false)[0].told);
    }
}
