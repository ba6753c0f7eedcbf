//! `state`: what the daemon keeps for this plugin.

use mainstay_protocol::{Answer, Blob, Question, StateAnswer, StateCall};

use super::State;
use crate::bindings::state::{Error, Host};
use crate::grant_line;
use crate::text::is_key;

/// Calls of one run, at most.
const CALLS: u32 = 256;

impl Host for State {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Error> {
        match self.kept("state.get", StateCall::Get(key)).await? {
            StateAnswer::Value(value) => Ok(value.map(|Blob(bytes)| bytes)),
            _ => Err(Error::Unavailable),
        }
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), Error> {
        let call = StateCall::Set(key, Blob(value));
        match self.kept("state.set", call).await? {
            StateAnswer::Done => Ok(()),
            _ => Err(Error::Unavailable),
        }
    }

    async fn delete(&mut self, key: String) -> Result<(), Error> {
        match self.kept("state.delete", StateCall::Delete(key)).await? {
            StateAnswer::Done => Ok(()),
            _ => Err(Error::Unavailable),
        }
    }

    async fn increment(&mut self, key: String, by: i64) -> Result<i64, Error> {
        let call = StateCall::Increment(key, by);
        match self.kept("state.increment", call).await? {
            StateAnswer::Number(sum) => Ok(sum),
            _ => Err(Error::Unavailable),
        }
    }
}

impl State {
    async fn kept(
        &mut self,
        function: &'static str,
        call: StateCall,
    ) -> Result<StateAnswer, Error> {
        let _call = self.tally.call(function);
        self.kept += 1;
        let Some(grant) = &self.grants.spec.state else {
            let line = grant_line::state();
            self.tally.deny(function.to_owned(), line);
            return Err(Error::NotPermitted);
        };
        let (key, size) = match &call {
            StateCall::Set(key, Blob(value)) => (key, value.len()),
            StateCall::Get(key) | StateCall::Delete(key) | StateCall::Increment(key, _) => (key, 0),
        };
        if !is_key(key) {
            return Err(Error::InvalidKey);
        }
        if self.kept > CALLS {
            return Err(Error::Unavailable);
        }
        // What never fits need not travel.
        if size as u64 > grant.size {
            return Err(Error::QuotaExceeded);
        }
        match self.ask(Question::State(call)).await {
            Ok(Answer::State(StateAnswer::QuotaExceeded)) => Err(Error::QuotaExceeded),
            Ok(Answer::State(StateAnswer::NotANumber)) => Err(Error::NotANumber),
            Ok(Answer::State(answer)) => Ok(answer),
            Ok(_) | Err(_) => Err(Error::Unavailable),
        }
    }
}
