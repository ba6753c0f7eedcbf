//! What happened in a run: for the assertions, and for people when one of them fails.

use mainstay_core::event::{RouterState, Transition};
use mainstay_core::time::Time;

/// An advertisement as it left a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) node: usize,
    pub(crate) priority: u8,
}

/// A change of state of a node's router.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) at: Time,
    pub(crate) node: usize,
    pub(crate) transition: Transition,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) sent: Vec<Sent>,
    pub(crate) changed: Vec<Changed>,
    /// How many nodes were active from when on; one entry per change.
    pub(crate) actives: Vec<(Time, usize)>,
    /// Nobody wants to read of what happens now.
    pub(crate) muted: bool,
    /// Lines for people, when they are wanted.
    lines: Option<Vec<String>>,
}

impl Journal {
    pub(crate) fn new(verbose: bool) -> Self {
        Self {
            lines: verbose.then(Vec::new),
            ..Self::default()
        }
    }

    /// Writes a line for people; the closure only runs when somebody wants to read it.
    pub(crate) fn line(&mut self, at: Time, text: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.as_mut().filter(|_| !self.muted) {
            lines.push(format!("{at} {}", text()));
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lines
            .as_ref()
            .map_or_else(String::new, |lines| lines.join("\n"))
    }

    pub(crate) fn count_actives(&mut self, at: Time, count: usize) {
        if self.actives.last().is_none_or(|(_, last)| *last != count) {
            self.actives.push((at, count));
        }
    }

    /// Transitions to active, in order.
    pub(crate) fn takeovers(&self) -> impl DoubleEndedIterator<Item = &Changed> {
        self.changed
            .iter()
            .filter(|changed| changed.transition.to == RouterState::Active)
    }

    /// Whether the addresses moved from one node to another.
    pub(crate) fn moved(&self) -> bool {
        let mut nodes = self.takeovers().map(|changed| changed.node);
        let first = nodes.next();
        nodes.any(|node| Some(node) != first)
    }

    /// Advertisements of a node in `from..to`.
    pub(crate) fn sent_by(&self, node: usize, from: Time, to: Time) -> impl Iterator<Item = &Sent> {
        self.sent
            .iter()
            .filter(move |sent| sent.node == node && (from..to).contains(&sent.at))
    }
}
