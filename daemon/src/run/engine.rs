//! The engine thread: waits for packets, messages and deadlines, and does what the engine says.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use mainstay_core::Engine;
use mainstay_core::event::Event;
use mainstay_core::input::Input;
use mainstay_core::record::RouterKey;
use mainstay_core::settings::Settings;
use mainstay_core::time::Time;
use mainstay_kernel::clock;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::crowd::QUIET;
use super::mailbox::{Inbox, Message};
use super::outlets::Outlets;
use crate::manifest::Owned;
use crate::resume::Key;
use crate::systemd::Notifier;

/// Rounds over the sockets before a deadline is believed, however much still waits in them.
const ROUNDS: usize = 16;

/// Messages taken before the sockets get their turn.
const MESSAGES: usize = 256;

/// The thread's whole world.
pub(super) struct EngineThread {
    pub(super) engine: Engine,
    pub(super) inbox: Inbox,
    pub(super) outlets: Outlets,
    pub(super) watchdog: Option<Watchdog>,
}

/// Tells the service manager that this thread, and no other, is alive.
pub(super) struct Watchdog {
    pub(super) notifier: Notifier,
    /// How often, at least.
    pub(super) interval: Duration,
    pub(super) fed_at: Time,
}

impl EngineThread {
    /// Runs until everything has been let go after a stop. Answers with the addresses that the
    /// kernel did not let go.
    ///
    /// # Errors
    /// When the kernel refuses to wait, which leaves nothing to go on with.
    pub(super) fn run(mut self) -> io::Result<Vec<Owned>> {
        let timer = TimerFd::new(
            ClockId::CLOCK_BOOTTIME,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )?;
        let mut armed = None;
        while !self.engine.stopped() {
            self.wait(&timer, &mut armed)?;
            self.take_messages();
            // Packets that came while the thread slept are older than the deadline that woke it.
            let mut rounds = 0;
            while self.take_packets() && rounds < ROUNDS {
                rounds += 1;
            }
            let now = clock::now();
            if self
                .engine
                .next_deadline()
                .is_some_and(|at| at <= now.boottime)
            {
                self.handle(Input::Tick);
            }
            self.outlets.hooks.flush();
            self.feed_watchdog();
        }
        Ok(self.engine.owned_addresses())
    }

    fn wait(&self, timer: &TimerFd, armed: &mut Option<Time>) -> io::Result<()> {
        let deadline = self.engine.next_deadline();
        if *armed != deadline {
            match deadline {
                // Zero would disarm it.
                Some(at) => timer.set(
                    Expiration::OneShot(TimeSpec::from(
                        at.since_boot().max(Duration::from_nanos(1)),
                    )),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )?,
                None => timer.unset()?,
            }
            *armed = deadline;
        }
        let mut descriptors = vec![
            PollFd::new(self.inbox.as_fd(), PollFlags::POLLIN),
            PollFd::new(timer.as_fd(), PollFlags::POLLIN),
        ];
        let sockets = self.outlets.sockets.descriptors();
        descriptors.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
        let watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.interval);
        // Silence is no event: whoever is kept apart is looked at again.
        let quiet = self.outlets.sockets.keeps_apart().then_some(QUIET);
        let timeout = match watchdog.into_iter().chain(quiet).min() {
            Some(limit) => PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Consumed here, so that it is armed anew even for the same deadline.
        if timer.wait().is_ok() {
            *armed = None;
        }
        Ok(())
    }

    fn take_messages(&mut self) {
        self.inbox.rearm();
        for _ in 0..MESSAGES {
            match self.inbox.next() {
                Some(Message::Input(input)) => self.handle(*input),
                Some(Message::Status(answer)) => {
                    let dropped = self.outlets.sockets.dropped();
                    let _ = answer.send((self.engine.status(clock::now()), dropped));
                }
                Some(Message::Explain(router, answer)) => {
                    let _ = answer.send(self.engine.explain(router.as_deref()));
                }
                None => return,
            }
        }
        self.inbox.again();
    }

    /// Hands a batch of packets to the engine; true when there may be more.
    fn take_packets(&mut self) -> bool {
        let mut packets = Vec::new();
        let more = self.outlets.sockets.receive(|packet| packets.push(packet));
        for packet in packets {
            self.handle(Input::Packet(packet));
        }
        let engine = &self.engine;
        let hears = |interface, source, at| engine.hears(interface, source, at);
        let now = clock::now().boottime;
        for notice in self.outlets.sockets.review(now, hears) {
            self.outlets.tell(Event::Notice(notice));
        }
        more
    }

    /// Hands an input to the engine, and whatever ends at once because of it.
    fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let settings = match &input {
                Input::Reconfigure(settings) => Some(settings.clone()),
                _ => None,
            };
            for action in self.engine.handle(clock::now(), input) {
                self.outlets.perform(action, &mut inputs);
            }
            if let Some(settings) = settings {
                self.forget_all_but(&settings);
            }
        }
    }

    fn forget_all_but(&mut self, settings: &Settings) {
        // What stays on the page without need costs a slot and nothing else.
        let _ = self.outlets.page.retain(|key| match key {
            Key::Router(key) => settings
                .routers
                .iter()
                .any(|router| RouterKey::of(router) == *key),
            Key::Check(identity) => settings
                .checks
                .iter()
                .any(|check| check.identity == *identity),
        });
    }

    fn feed_watchdog(&mut self) {
        let Some(watchdog) = &mut self.watchdog else {
            return;
        };
        let now = clock::now().boottime;
        if now.since(watchdog.fed_at) >= watchdog.interval {
            // Not fed because systemd doesn't read: the next round tries again.
            if watchdog.notifier.watchdog().is_ok() {
                watchdog.fed_at = now;
            }
        }
    }
}
