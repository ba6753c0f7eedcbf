//! The virtual routers, as plugins may see them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_core::status::{RouterStatus, Status};
use mainstay_core::time::Realtime;
use mainstay_kernel::clock;
use mainstay_protocol::{Refusal, RouterRecord};
use tokio::sync::Mutex;

/// For so long the engine is not asked again, however often plugins ask.
const FRESH: Duration = Duration::from_millis(100);

/// How long the engine may take; it is busy with better things.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of an answer, in memory: a frame holds several times that.
const LIMIT: usize = 128 << 10;

/// Asks the engine for its status; nothing when it is gone.
pub(crate) type Look =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Status>> + Send>> + Send + Sync>;

/// What the engine has said last.
pub(crate) struct Routers {
    look: Look,
    seen: Mutex<Option<(Instant, Arc<Vec<RouterRecord>>)>>,
}

impl Routers {
    /// Asks in this way.
    pub(crate) fn new(look: Look) -> Self {
        Self {
            look,
            seen: Mutex::new(None),
        }
    }

    /// All routers, or those of this name.
    pub(super) async fn find(&self, name: Option<&str>) -> Result<Vec<RouterRecord>, Refusal> {
        let all = self.seen().await?;
        let wanted = all
            .iter()
            .filter(|router| name.is_none_or(|name| router.name == name));
        let found: Vec<RouterRecord> = wanted.cloned().collect();
        match found.iter().map(size).sum::<usize>() > LIMIT {
            true => Err(Refusal::Unavailable("too many routers".to_owned())),
            false => Ok(found),
        }
    }

    /// One question to the engine at a time; whoever asks meanwhile gets its answer.
    async fn seen(&self) -> Result<Arc<Vec<RouterRecord>>, Refusal> {
        let mut seen = self.seen.lock().await;
        if let Some((at, records)) = seen.as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(records));
        }
        let status = match tokio::time::timeout(PATIENCE, (self.look)()).await {
            Ok(Some(status)) => status,
            Ok(None) => return Err(Refusal::Unavailable("the daemon is ending".to_owned())),
            Err(_) => return Err(Refusal::TimedOut),
        };
        let now = clock::now().realtime;
        let records = status.routers.iter().map(|router| record(router, now));
        let records = Arc::new(records.collect());
        *seen = Some((Instant::now(), Arc::clone(&records)));
        Ok(records)
    }
}

impl fmt::Debug for Routers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Routers")
    }
}

fn record(router: &RouterStatus, now: Realtime) -> RouterRecord {
    RouterRecord {
        name: router.name.clone(),
        interface: router.interface.clone(),
        family: router.family.to_string(),
        id: router.id,
        state: router.state.to_string(),
        base_priority: router.priority.base,
        effective_priority: router.priority.effective,
        since_ms: now.0.saturating_sub(router.since_unix_ms.0),
        active_router: router.active_router.map(|address| address.to_string()),
        addresses: router.addresses.iter().map(ToString::to_string).collect(),
    }
}

fn size(record: &RouterRecord) -> usize {
    let addresses: usize = record.addresses.iter().map(String::len).sum();
    size_of::<RouterRecord>() + record.name.len() + record.interface.len() + addresses
}
