//! A check that does what no check should: the setting says what.

use std::hint::black_box;
use std::time::Duration;

use mainstay_plugin::log::Level;
use mainstay_plugin::prelude::*;
use wasip2::clocks::{monotonic_clock, wall_clock};

/// What to do.
#[settings]
struct Settings {
    behaviour: Behaviour,
}

/// Ways to misbehave, and one to behave.
#[settings]
#[derive(Clone, Copy)]
enum Behaviour {
    /// Is healthy.
    Behave,
    /// Is healthy in every other run, and says when the run began, in microseconds of Unix time.
    TellBegin,
    /// Runs until it is stopped.
    Loop,
    /// Panics, which is a trap.
    Trap,
    /// Takes memory until there is none.
    Memory,
    /// Calls itself without end.
    Recursion,
    /// Is healthy, after ten thousand lines to the log.
    LogFlood,
    /// Answers with a message of 60 MiB.
    Megabytes,
    /// Gives an error of its own.
    Fail,
}

struct Misbehaving;

impl Check for Misbehaving {
    type Settings = Settings;

    fn run(settings: Settings, request: &Request) -> Result<Report> {
        match settings.behaviour {
            Behaviour::Behave => {}
            Behaviour::TellBegin => {
                let began = began_us().to_string();
                return Ok(match request.sequence % 2 {
                    0 => Report::unhealthy(began),
                    _ => Report::healthy(began),
                });
            }
            Behaviour::Loop => {
                for round in 0_u64.. {
                    black_box(round);
                }
            }
            Behaviour::Trap => panic!("on purpose"),
            Behaviour::Memory => {
                let mut taken = Vec::new();
                loop {
                    taken.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            Behaviour::Recursion => {
                black_box(depth(1));
            }
            Behaviour::LogFlood => {
                for number in 0..10_000 {
                    log::write(Level::Info, &format!("line {number}"), &[]);
                }
            }
            Behaviour::Megabytes => return Ok(Report::healthy("x".repeat(60 << 20))),
            Behaviour::Fail => return Err(PluginError::Failed("as told".to_owned())),
        }
        Ok(Report::healthy("behaves"))
    }
}

mainstay_plugin::check!(Misbehaving);

/// The host counts the monotonic time of a guest from the making of its run.
fn began_us() -> u128 {
    let since = Duration::from_nanos(monotonic_clock::now());
    let now = wall_clock::now();
    let now = Duration::new(now.seconds, now.nanoseconds);
    now.saturating_sub(since).as_micros()
}

/// Deeper than any stack.
#[expect(unconditional_recursion, reason = "what it is for")]
fn depth(level: u64) -> u64 {
    black_box(depth(black_box(level + 1))) + 1
}
