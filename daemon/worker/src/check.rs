//! Checks: when they run, and what they remember from run to run.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use mainstay_protocol::{
    CheckSpec, Fault, FaultKind, FromWorker, LogLevel, Outcome, RunReport, Subject,
};
use tokio::time::{Instant, sleep_until};

use crate::bindings::check;
use crate::bindings::common::Endpoint;
use crate::context::Context;
use crate::host::Line;
use crate::load::Use;
use crate::meter::{Meter, Metered};
use crate::plugin::{Answer, Job};
use crate::report;
use crate::run::{self, Ending, Permission};
use crate::turn::Turn;

/// A check as it is scheduled.
pub(crate) type Check = Use<CheckSpec>;

impl Metered for Check {
    fn subject(&self) -> Subject {
        Subject::Check(self.spec.name.clone())
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// What a check remembers.
#[derive(Debug, Default)]
struct Memory {
    sequence: u64,
    previous: Option<check::Status>,
    carry: Option<Vec<u8>>,
    /// Runs that trapped or met a limit, in a row.
    traps: u32,
}

/// The ticks of a check: the first at once, the others on a grid.
#[derive(Clone, Copy, Debug)]
struct Grid {
    origin: Instant,
    interval: Duration,
}

impl Grid {
    /// The first tick after `now`, and how many were passed over since `last`.
    fn next(self, last: Instant, now: Instant) -> (Instant, u32) {
        let interval = self.interval.as_nanos();
        let since = |at: Instant| at.saturating_duration_since(self.origin).as_nanos();
        let missed = since(now) / interval - since(last) / interval;
        // Less than the interval, which is at most a year.
        let passed = u64::try_from(since(now) % interval).unwrap_or(0);
        let tick = now.max(self.origin) - Duration::from_nanos(passed);
        (
            tick + self.interval,
            u32::try_from(missed).unwrap_or(u32::MAX),
        )
    }
}

/// Runs a check at its interval for as long as the worker lives. One run at a time; a tick that
/// comes while a run is going on is counted and left out.
///
/// `phase` moves the ticks after the first one, so that checks of the same interval do not all
/// run at the same instant.
pub(crate) async fn schedule(context: Arc<Context>, check: Arc<Check>, phase: Duration) {
    let start = Instant::now();
    let interval = Duration::from_millis(check.spec.interval_ms.max(1));
    let grid = Grid {
        origin: start + phase,
        interval,
    };
    let mut memory = Memory::default();
    let mut resting: Option<Instant> = None;
    let mut due = start;
    // The first run waits for nothing: routers wait for it.
    let mut late = Duration::ZERO;
    loop {
        sleep_until(due + late).await;
        late = jitter(&check.spec);
        if resting.is_some_and(|until| Instant::now() >= until) {
            resting = None;
            send_quarantine(&context, &check, 0).await;
        }
        let (outcome, took, overruns);
        if resting.is_some() {
            outcome = Outcome::Fault(Fault {
                kind: FaultKind::Quarantined,
                message: format!(
                    "rests after {} traps in a row, {} s more",
                    memory.traps,
                    resting.map_or(0, |until| until.duration_since(Instant::now()).as_secs())
                ),
            });
            took = Duration::ZERO;
            (due, overruns) = grid.next(due, Instant::now());
        } else {
            let mut ending = one_run(&context, &check, memory.request(&check)).await;
            check.meter.add(&ending);
            outcome = memory.settle(&mut ending);
            took = ending.took;
            (due, overruns) = grid.next(due, Instant::now());
            check.meter.overran(overruns);
            let subject = Subject::Check(check.spec.name.clone());
            context
                .send_log(&check.plugin, &subject, ending.lines)
                .await;
        }
        context
            .outbox
            .send(&FromWorker::Verdict {
                check: check.spec.name.clone(),
                generation: context.generation,
                outcome,
                took_us: microseconds(took),
                overruns,
            })
            .await;
        let spec = &check.spec;
        if resting.is_none() && memory.traps >= spec.quarantine_after.max(1) {
            resting = Some(Instant::now() + Duration::from_millis(spec.quarantine_ms));
            send_quarantine(&context, &check, spec.quarantine_ms).await;
        }
    }
}

/// Runs a check once, now, apart from its schedule: without its memory and its quarantine.
pub(crate) async fn run_once(context: &Arc<Context>, check: &Arc<Check>) -> RunReport {
    let mut memory = Memory::default();
    let mut ending = one_run(context, check, memory.request(check)).await;
    let outcome = memory.settle(&mut ending);
    RunReport {
        check: check.spec.name.clone(),
        outcome,
        took_us: microseconds(ending.took),
        memory_peak: ending.tally.memory_peak(),
        host_calls: ending.tally.calls(),
        denied: ending.tally.denied(),
        log: ending
            .lines
            .into_iter()
            .map(|line| (line.level, line.message))
            .collect(),
    }
}

async fn one_run(context: &Arc<Context>, check: &Arc<Check>, request: check::Request) -> Ending {
    let turn = Turn::of(&context.runs).await;
    let (context, check) = (context.clone(), check.clone());
    apart(async move {
        let timeout = Duration::from_millis(check.spec.timeout_ms);
        let job = Job::Check(request);
        let permission = Permission::Granted {
            target: check.spec.target,
        };
        let (plugin, shared) = (&check.plugin, &context.shared);
        run::run(plugin, shared, job, timeout, permission, turn).await
    })
    .await
}

/// Lets a run begin here. Most are over by then; one that waits, or that has computed until the
/// clock ticked, goes on as a task of its own, so that it neither holds up the other checks nor
/// keeps them on one thread.
async fn apart<T: Send + 'static>(run: impl Future<Output = T> + Send + 'static) -> T {
    let mut run = Box::pin(run);
    match poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await {
        Poll::Ready(ended) => ended,
        Poll::Pending => match tokio::spawn(run).await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going away, and with it whoever waits for this.
                Err(_cancelled) => std::future::pending().await,
            },
        },
    }
}

impl Memory {
    fn request(&mut self, check: &Check) -> check::Request {
        self.sequence += 1;
        check::Request {
            name: check.spec.name.clone(),
            target: check.spec.target.map_or(check::Target::Node, |target| {
                check::Target::Endpoint(Endpoint {
                    address: target.ip().to_string(),
                    port: target.port(),
                })
            }),
            settings: check.settings.to_string(),
            deadline_ms: u32::try_from(check.spec.timeout_ms).unwrap_or(u32::MAX),
            sequence: self.sequence,
            previous: self.previous,
            carry: self.carry.clone(),
            attributes: Vec::new(),
        }
    }

    /// Takes over what a run leaves behind and makes its outcome.
    fn settle(&mut self, ending: &mut Ending) -> Outcome {
        let answer = std::mem::replace(&mut ending.answer, Ok(Answer::Delivered));
        match answer {
            Ok(Answer::Report(raw)) => {
                self.traps = 0;
                self.previous = Some(raw.status);
                let report = report::clamp(&raw);
                self.carry = report::carry(raw).unwrap_or_else(|size| {
                    ending.lines.push(Line {
                        level: LogLevel::Warn,
                        message: format!("its state of {size} bytes is too large and was not kept"),
                        fields: Vec::new(),
                    });
                    None
                });
                Outcome::Report(report)
            }
            Ok(_) => Outcome::Fault(Fault {
                kind: FaultKind::Error,
                message: "the plugin gave no report".to_owned(),
            }),
            Err(fault) => {
                if matches!(fault.kind, FaultKind::Trap | FaultKind::Limit) {
                    self.traps = self.traps.saturating_add(1);
                } else {
                    self.traps = 0;
                }
                Outcome::Fault(fault)
            }
        }
    }
}

async fn send_quarantine(context: &Context, check: &Check, for_ms: u64) {
    context
        .outbox
        .send(&FromWorker::Quarantine {
            check: check.spec.name.clone(),
            for_ms,
        })
        .await;
}

/// How much later than its tick the next run begins.
fn jitter(spec: &CheckSpec) -> Duration {
    Duration::from_millis(fastrand::u64(..=spec.jitter_ms))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_that_pass_during_a_run_are_counted_and_left_out() {
        let origin = Instant::now();
        let interval = Duration::from_secs(2);
        let grid = Grid { origin, interval };
        let at = |seconds: f64| origin + Duration::from_secs_f64(seconds);
        assert_eq!(grid.next(at(0.0), at(0.5)), (at(2.0), 0));
        assert_eq!(grid.next(at(2.0), at(2.0)), (at(4.0), 0));
        assert_eq!(grid.next(at(2.0), at(4.0)), (at(6.0), 1));
        assert_eq!(grid.next(at(2.0), at(9.9)), (at(10.0), 3));
    }

    #[test]
    fn the_grid_goes_on_for_years() {
        let origin = Instant::now();
        let interval = Duration::from_millis(10);
        let grid = Grid { origin, interval };
        let now = origin + Duration::from_secs(2 * 366 * 86_400);
        assert_eq!(grid.next(now, now), (now + interval, 0));
    }

    #[test]
    fn a_phase_delays_the_grid_and_counts_nothing() {
        let start = Instant::now();
        let grid = Grid {
            origin: start + Duration::from_millis(100),
            interval: Duration::from_secs(1),
        };
        let (next, missed) = grid.next(start, start + Duration::from_millis(50));
        assert_eq!((next, missed), (start + Duration::from_millis(1100), 0));
    }
}
