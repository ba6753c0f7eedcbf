//! `process`: what `pgrep` and `pidof` answered, within the grants.

use std::path::Path;

use super::proc_table::{self, Proc};
use super::{Shared, State};
use crate::bindings::process::{Error, Host, Info, RunState, Selector};
use crate::grant_line::{self, ProcessKey};
use crate::tally::Call;

/// Calls of one run, at most.
const CALLS: u32 = 64;
/// Processes that one call lists, at most.
const LISTED: usize = 256;
/// Bytes of what is asked for, at most.
const SELECTOR: usize = 4096;

impl Host for State {
    async fn count(&mut self, selector: Selector) -> Result<u32, Error> {
        let _call = self.may_ask("process.count", &selector)?;
        let mut count = 0;
        select(&self.shared.clone(), &selector, |_| {
            count += 1;
            true
        })
        .await?;
        Ok(count)
    }

    async fn find(&mut self, selector: Selector, limit: u32) -> Result<Vec<Info>, Error> {
        let _call = self.may_ask("process.find", &selector)?;
        let limit = (limit as usize).min(LISTED);
        if limit == 0 {
            return Err(Error::InvalidQuery);
        }
        let mut found = Vec::new();
        select(&self.shared.clone(), &selector, |process| {
            found.push(info(process));
            found.len() < limit
        })
        .await?;
        let command_line = self.grants.process.command_line;
        let mut living = Vec::new();
        for (pid, mut info) in found {
            if let Some((uid, arguments)) = proc_table::details(pid, command_line).await {
                info.uid = uid;
                info.command_line = arguments;
                living.push(info);
            }
        }
        Ok(living)
    }
}

impl State {
    fn may_ask(&mut self, function: &'static str, selector: &Selector) -> Result<Call, Error> {
        let call = self.tally.call(function);
        self.asked += 1;
        let (key, value) = key(selector);
        if value.is_empty() || value.len() > SELECTOR {
            return Err(Error::InvalidQuery);
        }
        let granted = &self.grants.process;
        let holds = |values: &[String]| values.iter().any(|granted| granted == value);
        let allowed = match key {
            ProcessKey::Name => holds(&granted.names),
            ProcessKey::Command => holds(&granted.commands),
            ProcessKey::Unit => holds(&granted.units),
            ProcessKey::PidFile => granted
                .pid_files
                .iter()
                .any(|file| file == Path::new(value)),
        };
        if !allowed {
            let shown = self.shown(value, 64);
            self.tally.deny(
                format!("{function} {} {shown}", words(key)),
                grant_line::process(granted, key, &shown),
            );
            return Err(Error::NotPermitted);
        }
        if self.asked > CALLS {
            return Err(Error::Unavailable);
        }
        Ok(call)
    }
}

/// Shows every process that is meant to `visit`, until it says that it has enough.
async fn select(
    shared: &Shared,
    selector: &Selector,
    mut visit: impl FnMut(&Proc) -> bool + Send,
) -> Result<(), Error> {
    let unavailable = |_| Error::Unavailable;
    if let Selector::PidFile(file) = selector {
        let process = proc_table::of_pid_file(Path::new(file)).await;
        if let Some(process) = process.map_err(unavailable)? {
            visit(&process);
        }
        return Ok(());
    }
    let processes = shared.processes.all().await.map_err(unavailable)?;
    for process in processes.iter() {
        let meant = match selector {
            Selector::Name(name) => process.has_name(name),
            Selector::Command(command) => process.has_command(command),
            Selector::Unit(unit) => process.is_of_unit(unit),
            Selector::PidFile(_) => false,
        };
        if meant && !visit(process) {
            break;
        }
    }
    Ok(())
}

fn key(selector: &Selector) -> (ProcessKey, &str) {
    match selector {
        Selector::Name(value) => (ProcessKey::Name, value),
        Selector::Command(value) => (ProcessKey::Command, value),
        Selector::PidFile(value) => (ProcessKey::PidFile, value),
        Selector::Unit(value) => (ProcessKey::Unit, value),
    }
}

fn words(key: ProcessKey) -> &'static str {
    match key {
        ProcessKey::Name => "name",
        ProcessKey::Command => "command",
        ProcessKey::PidFile => "pid file",
        ProcessKey::Unit => "unit",
    }
}

/// What the table knows; user and command line are looked up for the processes that are listed.
fn info(process: &Proc) -> (i32, Info) {
    let stat = &process.stat;
    let info = Info {
        pid: stat.pid.unsigned_abs(),
        parent_pid: stat.ppid.unsigned_abs(),
        name: stat.comm.clone(),
        state: match stat.state {
            'R' => RunState::Running,
            'S' | 'I' => RunState::Sleeping,
            'D' => RunState::DiskWait,
            'T' | 't' => RunState::Stopped,
            _ => RunState::Other,
        },
        uid: 0,
        threads: u32::try_from(stat.num_threads).unwrap_or(0),
        rss_bytes: stat.rss.saturating_mul(rustix::param::page_size() as u64),
        running_ms: u64::try_from(process.age().as_millis()).unwrap_or(u64::MAX),
        command_line: None,
    };
    (stat.pid, info)
}
