//! Gratuitous ARP in two rounds, in bursts that a neighbour can take.

use std::time::Duration;

use crate::address::MacAddress;
use crate::settings::AnnounceSettings;
use crate::time::Time;
use crate::wire::arp;

/// Frames that leave at the same moment, at most.
const BURST: usize = 64;

/// From one burst to the next.
const PACE: Duration = Duration::from_millis(10);

/// Announcements that are still to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement {
    settings: AnnounceSettings,
    started: Time,
    second_round: bool,
    /// Frames of this round that are gone.
    sent: usize,
    next: Time,
}

impl Announcement {
    pub(crate) fn new(settings: AnnounceSettings, now: Time) -> Self {
        Self {
            settings,
            started: now,
            second_round: false,
            sent: 0,
            next: now,
        }
    }

    pub(crate) fn deadline(&self) -> Time {
        self.next
    }

    /// The frames that are due, one address after the other; and what remains, if anything.
    pub(crate) fn burst(
        mut self,
        now: Time,
        mac: MacAddress,
        addresses: &[std::net::Ipv4Addr],
    ) -> (Vec<Vec<u8>>, Option<Self>) {
        let total = addresses.len() * usize::from(self.settings.repeat);
        let end = total.min(self.sent + BURST);
        let frames = addresses
            .iter()
            .cycle()
            .skip(self.sent % addresses.len().max(1))
            .take(end - self.sent.min(end))
            .map(|address| arp::gratuitous(mac, *address))
            .collect();
        self.sent = end;
        let rest = if self.sent < total {
            self.next = now + PACE;
            Some(self)
        } else if !self.second_round && total > 0 && !self.settings.delay.is_zero() {
            self.second_round = true;
            self.sent = 0;
            self.next = self.started + self.settings.delay;
            Some(self)
        } else {
            None
        };
        (frames, rest)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn drain(addresses: usize) -> Vec<(Time, usize)> {
        let addresses = vec![Ipv4Addr::LOCALHOST; addresses];
        let mut rest = Some(Announcement::new(AnnounceSettings::default(), Time::ZERO));
        let mut bursts = Vec::new();
        while let Some(announcement) = rest {
            let now = announcement.deadline();
            let (frames, next) = announcement.burst(now, [2; 6], &addresses);
            bursts.push((now, frames.len()));
            rest = next;
        }
        bursts
    }

    #[test]
    fn five_at_once_and_five_more_after_five_seconds() {
        let later = Time::from_boot(Duration::from_secs(5));
        assert_eq!(drain(1), [(Time::ZERO, 5), (later, 5)]);
    }

    #[test]
    fn many_addresses_leave_in_bursts() {
        let bursts = drain(100);
        assert!(bursts.iter().all(|(_, frames)| *frames <= BURST));
        assert_eq!(bursts.iter().map(|(_, frames)| frames).sum::<usize>(), 1000);
        assert!(bursts.windows(2).all(|pair| pair[1].0 >= pair[0].0 + PACE));
    }

    #[test]
    fn no_address_needs_no_frame() {
        assert_eq!(drain(0), [(Time::ZERO, 0)]);
    }
}
