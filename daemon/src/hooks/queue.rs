//! The events that wait for one hook, of one source.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mainstay_protocol::Event;

use super::event;

/// Events that wait, at most. Beyond that the youngest two become one.
pub(crate) const CAPACITY: usize = 64;

/// Pause after the first failure; doubles with each further one of the same event.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long an answer may take before the event counts as failed: twice as long as any hook may run,
/// since a call may wait for another one.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);

/// Workers that may die while they deliver one event, before the event is given up.
const WORKERS_PER_EVENT: u32 = 3;

/// A queue in the order of the source. At most one event is under way; the next one follows when
/// that one is delivered or given up.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
    /// What is being tried, which is the first that waits.
    trial: Option<Trial>,
    /// From an event's first try to the last one.
    deadline: Duration,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    since: Instant,
}

#[derive(Debug)]
struct Trial {
    began: Instant,
    failures: u32,
    lost_workers: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Sent { at: Instant },
    Pause { until: Instant },
}

/// What became of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// The hook has it.
    Delivered,
    /// It will be tried again.
    Again,
    /// Its deadline is over; the hook doesn't get it.
    GivenUp,
    /// It isn't the one under way: a late answer.
    Unknown,
}

impl Queue {
    /// An empty queue whose events are tried for `deadline`.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            trial: None,
            deadline,
        }
    }

    /// Changes the deadline, for what is under way as well.
    pub(crate) fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// Appends an event. In a full queue it takes the place of the youngest: the hook then sees the
    /// last state, with `coalesced`.
    pub(crate) fn push(&mut self, event: Event, now: Instant) {
        if self.waiting.len() < CAPACITY {
            self.waiting.push_back(Waiting { event, since: now });
        } else if let Some(last) = self.waiting.back_mut() {
            event::merge(&mut last.event, event);
        }
    }

    /// The event to send now, if any. It is then under way.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Event> {
        let first = self.waiting.front()?;
        match &mut self.trial {
            None => {
                self.trial = Some(Trial {
                    began: now,
                    failures: 0,
                    lost_workers: 0,
                    step: Step::Sent { at: now },
                });
            }
            Some(trial) => match trial.step {
                Step::Pause { until } if until <= now => trial.step = Step::Sent { at: now },
                Step::Pause { .. } | Step::Sent { .. } => return None,
            },
        }
        let mut event = first.event.clone();
        let waited = now.saturating_duration_since(first.since).as_millis();
        event.queued_ms = u32::try_from(waited).unwrap_or(u32::MAX);
        Some(event)
    }

    /// When [`Self::due`] has something to say without anything else happening.
    pub(crate) fn next_wake(&self, now: Instant) -> Option<Instant> {
        match self.trial.as_ref().map(|trial| trial.step) {
            None => (!self.waiting.is_empty()).then_some(now),
            Some(Step::Pause { until }) => Some(until),
            Some(Step::Sent { at }) => Some(at + ANSWER_LIMIT),
        }
    }

    /// Since when the worker has an event of this queue.
    pub(crate) fn under_way(&self) -> Option<Instant> {
        match self.trial.as_ref()?.step {
            Step::Sent { at } => Some(at),
            Step::Pause { .. } => None,
        }
    }

    /// The worker answered.
    pub(crate) fn answered(&mut self, sequence: u64, delivered: bool, now: Instant) -> Fate {
        let Some(trial) = &mut self.trial else {
            return Fate::Unknown;
        };
        let first = self.waiting.front().map(|first| first.event.sequence);
        if first != Some(sequence) || !matches!(trial.step, Step::Sent { .. }) {
            return Fate::Unknown;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << trial.failures.min(16));
        let until = now + pause;
        if !delivered && until < trial.began + self.deadline {
            trial.failures += 1;
            trial.step = Step::Pause { until };
            return Fate::Again;
        }
        self.waiting.pop_front();
        self.trial = None;
        if delivered {
            Fate::Delivered
        } else {
            Fate::GivenUp
        }
    }

    /// The worker is gone: what was under way is sent again, its deadline begins anew. When three
    /// workers `died` of it, the event itself is to blame, and given up.
    pub(crate) fn worker_gone(&mut self, died: bool, now: Instant) -> Fate {
        let under_way = self.under_way().is_some();
        let Some(trial) = &mut self.trial else {
            return Fate::Unknown;
        };
        if died && under_way {
            trial.lost_workers += 1;
        }
        if trial.lost_workers >= WORKERS_PER_EVENT {
            self.waiting.pop_front();
            self.trial = None;
            return Fate::GivenUp;
        }
        trial.began = now;
        trial.step = Step::Pause { until: now };
        Fate::Again
    }

    /// Since when the first event waits.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.front().map(|first| first.since)
    }

    /// Counts an event as failed whose answer is overdue.
    pub(crate) fn expire(&mut self, now: Instant) {
        let Some(trial) = &self.trial else { return };
        if let Step::Sent { at } = trial.step
            && at + ANSWER_LIMIT <= now
            && let Some(first) = self.waiting.front()
        {
            self.answered(first.event.sequence, false, now);
        }
    }

    /// Events that wait or are under way.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use mainstay_protocol::{EventPayload, RouterTransition};

    use super::*;

    fn event(sequence: u64) -> Event {
        Event {
            sequence,
            source: "router/VI_1/ipv4".to_owned(),
            at_unix_ms: 0,
            queued_ms: 0,
            coalesced: false,
            payload: EventPayload::Router(RouterTransition {
                router: "VI_1".to_owned(),
                family: "ipv4".to_owned(),
                interface: "eth0".to_owned(),
                id: 51,
                from: format!("state {}", sequence - 1),
                to: format!("state {sequence}"),
                priority: 100,
                addresses: Vec::new(),
                cause: "test".to_owned(),
            }),
        }
    }

    fn queue() -> (Queue, Instant) {
        (Queue::new(Duration::from_secs(5)), Instant::now())
    }

    #[test]
    fn t36_a_storm_is_merged_to_the_last_state_and_keeps_its_order() {
        let (mut queue, now) = queue();
        for sequence in 1..=1_000 {
            queue.push(event(sequence), now);
            assert!(queue.len() <= CAPACITY);
        }
        let mut delivered = Vec::new();
        while let Some(event) = queue.due(now) {
            let sequence = event.sequence;
            delivered.push(event);
            assert_eq!(queue.answered(sequence, true, now), Fate::Delivered);
        }
        assert_eq!(delivered.len(), CAPACITY);
        assert!(delivered.is_sorted_by_key(|event| event.sequence));
        let last = delivered.last().unwrap();
        assert_eq!((last.sequence, last.coalesced), (1_000, true));
        assert!(!delivered[CAPACITY - 2].coalesced);
        let EventPayload::Router(transition) = &last.payload else {
            panic!("{last:?}");
        };
        assert_eq!(transition.from, "state 63");
        assert_eq!(transition.to, "state 1000");
    }

    #[test]
    fn one_event_is_under_way_at_a_time() {
        let (mut queue, now) = queue();
        queue.push(event(1), now);
        queue.push(event(2), now);
        assert_eq!(queue.next_wake(now), Some(now));
        assert_eq!(queue.due(now).unwrap().sequence, 1);
        assert!(queue.due(now).is_none());
        assert_eq!(queue.next_wake(now), Some(now + ANSWER_LIMIT));
        assert_eq!(queue.answered(2, true, now), Fate::Unknown);
        assert_eq!(queue.answered(1, true, now), Fate::Delivered);
        let later = now + Duration::from_millis(30);
        let second = queue.due(later).unwrap();
        assert_eq!((second.sequence, second.queued_ms), (2, 30));
    }

    #[test]
    fn a_failing_event_is_tried_with_growing_pauses_until_its_deadline() {
        let (mut queue, start) = queue();
        queue.push(event(1), start);
        queue.push(event(2), start);
        let mut now = start;
        let mut pauses = Vec::new();
        loop {
            assert_eq!(queue.due(now).unwrap().sequence, 1);
            match queue.answered(1, false, now) {
                Fate::Again => {
                    let wake = queue.next_wake(now).unwrap();
                    assert!(queue.due(now).is_none());
                    pauses.push((wake - now).as_millis());
                    now = wake;
                }
                Fate::GivenUp => break,
                fate => panic!("{fate:?}"),
            }
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600]);
        assert!(now - start < Duration::from_secs(5));
        assert_eq!(queue.due(now).unwrap().sequence, 2);
    }

    #[test]
    fn what_a_dead_worker_had_is_sent_again_but_not_for_ever() {
        let (mut queue, now) = queue();
        queue.push(event(1), now);
        queue.push(event(2), now);
        let much_later = now + Duration::from_secs(60);
        assert_eq!(queue.worker_gone(true, now), Fate::Unknown);
        for time in [now, much_later] {
            assert_eq!(queue.due(time).unwrap().sequence, 1);
            assert_eq!(queue.worker_gone(true, time), Fate::Again);
            assert_eq!(queue.worker_gone(true, time), Fate::Again, "not sent");
            assert_eq!(queue.due(time).unwrap().sequence, 1);
            assert_eq!(queue.worker_gone(false, time), Fate::Again, "replaced");
        }
        assert_eq!(queue.due(much_later).unwrap().sequence, 1);
        assert_eq!(queue.worker_gone(true, much_later), Fate::GivenUp);
        assert_eq!(queue.due(much_later).unwrap().sequence, 2);
    }

    #[test]
    fn an_answer_that_never_comes_does_not_hold_up_the_queue() {
        let (mut queue, now) = queue();
        queue.push(event(1), now);
        queue.push(event(2), now);
        assert_eq!(queue.due(now).unwrap().sequence, 1);
        let wake = queue.next_wake(now).unwrap();
        queue.expire(wake);
        assert_eq!(queue.due(wake).unwrap().sequence, 2);
    }
}
