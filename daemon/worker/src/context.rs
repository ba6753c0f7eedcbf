//! What the tasks of a worker share, and how they report.

use std::sync::Arc;
use std::time::Instant;

use mainstay_protocol::{FromWorker, Subject};

use crate::frames::Outbox;
use crate::host::{Line, Shared};
use crate::plugin::Plugin;
use crate::turn::Turns;

/// Shared by all checks and hooks.
pub(crate) struct Context {
    /// For the host functions.
    pub(crate) shared: Arc<Shared>,
    /// To the daemon.
    pub(crate) outbox: Outbox,
    /// Generation of the configuration.
    pub(crate) generation: u64,
    /// Bounds the runs of checks that go on at the same time, and so their memory.
    pub(crate) runs: Turns,
    /// Bounds the calls of hooks. Apart, since a hook may take seconds and checks cannot wait.
    pub(crate) calls: Turns,
}

impl Context {
    /// Sends what a run logged and, at most once a minute, how much was dropped.
    pub(crate) async fn send_log(&self, plugin: &Plugin, subject: &Subject, lines: Vec<Line>) {
        for line in lines {
            self.outbox
                .send(&FromWorker::Log {
                    plugin: plugin.name.clone(),
                    subject: subject.clone(),
                    level: line.level,
                    message: line.message,
                    fields: line.fields,
                })
                .await;
        }
        if let Some(lines) = plugin.log.report(Instant::now()) {
            self.outbox
                .send(&FromWorker::LogDropped {
                    plugin: plugin.name.clone(),
                    lines,
                })
                .await;
        }
    }
}
