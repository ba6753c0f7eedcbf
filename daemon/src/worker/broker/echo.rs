//! ICMP echoes, which the daemon sends itself: a socket that receives all of ICMP is nothing for a worker.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mainstay_kernel::echo::echo;
use mainstay_protocol::{Answer, EchoRequest, Rate, Refusal, canonical};

use super::asker::Asker;
use super::{origin, system};

/// Echo requests a second, whoever asks for them.
const A_SECOND: u32 = 500;

/// How often this machine pings for its plugins. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Echoes(Arc<Mutex<Rate>>);

impl Echoes {
    fn are_too_many(&self) -> bool {
        let mut rate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rate.count(Instant::now()) > A_SECOND
    }
}

/// How long this one may take.
pub(super) fn limit(request: &EchoRequest) -> Duration {
    let most = Duration::from_secs(300);
    Duration::from_millis(request.timeout_ms.into()).min(most)
}

pub(super) async fn answer(
    asker: &Asker,
    echoes: &Echoes,
    request: &EchoRequest,
) -> Result<Answer, Refusal> {
    let to: IpAddr = canonical(request.to)
        .ok_or_else(|| Refusal::Invalid(format!("{} is no peer", request.to)))?;
    if !asker.may_echo(to, &request.origin) {
        return Err(Refusal::NotPermitted);
    }
    if echoes.are_too_many() {
        return Err(Refusal::Busy);
    }
    let source = origin::source(&request.origin, to).await?;
    let took = echo(to, source, request.origin.fwmark).await;
    Ok(Answer::Echo {
        round_trip_us: u64::try_from(took.map_err(system)?.as_micros()).unwrap_or(u64::MAX),
    })
}
