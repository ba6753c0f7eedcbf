//! `fifo`: lines for named pipes, which the daemon writes.

use std::path::Path;

use mainstay_protocol::{Answer, PipeAnswer, Question};

use super::State;
use crate::bindings::fifo::{Error, Host};
use crate::grant_line;

/// Calls of one run, at most.
const CALLS: u32 = 64;
/// Bytes of a line and its line break, at most: what a pipe takes whole or not at all (`PIPE_BUF`).
const WHOLE: usize = 4096;

impl Host for State {
    async fn write(&mut self, path: String, line: String) -> Result<(), Error> {
        let _call = self.tally.call("fifo.write");
        self.piped += 1;
        let granted = &self.grants.spec.fifo;
        if !granted.iter().any(|pipe| pipe == Path::new(&path)) {
            let shown = self.shown(&path, 128);
            self.tally.deny(
                format!("fifo.write {shown}"),
                grant_line::fifo(granted, &shown),
            );
            return Err(Error::NotPermitted);
        }
        if line.len() >= WHOLE || line.contains(['\n', '\r', '\0']) {
            return Err(Error::InvalidLine);
        }
        if self.piped > CALLS {
            return Err(Error::Other);
        }
        match self.ask(Question::Pipe { path, line }).await {
            Ok(Answer::Pipe(PipeAnswer::Written)) => Ok(()),
            Ok(Answer::Pipe(PipeAnswer::NoReader)) => Err(Error::NoReader),
            Ok(Answer::Pipe(PipeAnswer::Full)) => Err(Error::Full),
            Ok(_) | Err(_) => Err(Error::Other),
        }
    }
}
