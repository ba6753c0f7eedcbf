//! A run's turn to compute: so many have one at the same time, which bounds their memory.
//!
//! A run that waits for a peer gives its turn to others meanwhile, or a few peers that never answer would keep all
//! checks waiting.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::pin;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::tally::lock;

/// How long a run waits with its turn. Most peers answer sooner, and then nothing is to be had back.
const WITH_IT: Duration = Duration::from_millis(10);

/// Runs that wait without a turn at the same time, at most: one more keeps its turn. Bounds their memory.
pub(crate) const WAITING_AT_ONCE: usize = 128;

/// The turns that there are.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Turns {
    /// So many turns of each kind. Those who wait without one are counted together.
    pub(crate) fn kinds<const N: usize>(counts: [usize; N]) -> [Self; N] {
        let waiting = Arc::new(Semaphore::new(WAITING_AT_ONCE));
        counts.map(|count| Self {
            free: Arc::new(Semaphore::new(count)),
            waiting: waiting.clone(),
        })
    }
}

/// The turn of one run. Clones are the same turn, which ends with the last of them. The default is that of a run that
/// is not bounded by turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    turns: Turns,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turn {
    /// Waits for a turn.
    pub(crate) async fn of(turns: &Turns) -> Self {
        // The semaphore is never closed; without a permit the run would only be less bounded.
        let permit = turns.free.clone().acquire_owned().await.ok();
        Self(Some(Arc::new(Inner {
            turns: turns.clone(),
            permit: Mutex::new(permit),
        })))
    }

    /// Waits for something that takes no computing, at last without the turn, and then for a turn again.
    pub(crate) async fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let Some(inner) = &self.0 else {
            return what.await;
        };
        pin!(what);
        if let Ok(done) = timeout(WITH_IT, &mut what).await {
            return done;
        }
        let Ok(_waiting) = inner.turns.waiting.try_acquire() else {
            return what.await;
        };
        drop(lock(&inner.permit).take());
        let done = what.await;
        let permit = inner.turns.free.clone().acquire_owned().await.ok();
        *lock(&inner.permit) = permit;
        done
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Until what does not come never will.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_waits_for_long_lets_others_go_first() {
        let [turns] = Turns::kinds([1]);
        let first = Turn::of(&turns).await;
        let (tell, told) = oneshot::channel();
        let waiting = tokio::spawn(async move { (first.wait(told).await, first) });
        // Comes as soon as the first has waited a little.
        let second = timeout(PATIENCE, Turn::of(&turns)).await;
        let second = second.expect("who waits gives its turn to no one");
        tell.send(7).unwrap();
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "both have a turn");
        drop(second);
        let (done, first) = waiting.await.unwrap();
        assert_eq!(done, Ok(7));
        assert_eq!(turns.free.available_permits(), 0);
        drop(first);
        assert_eq!(turns.free.available_permits(), 1);
    }

    #[tokio::test]
    async fn one_more_than_may_wait_without_a_turn_keeps_its_own() {
        let [turns, others] = Turns::kinds([1, 1]);
        let all = turns
            .waiting
            .clone()
            .acquire_many_owned(WAITING_AT_ONCE as u32);
        let _all = all.await.unwrap();
        let turn = Turn::of(&others).await;
        let (tell, told) = oneshot::channel();
        let waiting = tokio::spawn(async move { (turn.wait(told).await, turn) });
        let next = timeout(5 * WITH_IT, Turn::of(&others)).await;
        assert!(next.is_err(), "both have a turn");
        tell.send(7).unwrap();
        let (done, _turn) = waiting.await.unwrap();
        assert_eq!(done, Ok(7));
    }

    #[tokio::test]
    async fn who_waits_shortly_keeps_the_turn() {
        let [turns] = Turns::kinds([1]);
        let turn = Turn::of(&turns).await;
        turn.wait(std::future::ready(())).await;
        assert_eq!(turns.free.available_permits(), 0);
        Turn::default().wait(std::future::ready(())).await;
    }
}
