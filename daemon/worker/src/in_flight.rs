//! Which plugins run, noted where the daemon finds it when this process has died.

use std::fs::File;
use std::sync::Mutex;

use mainstay_protocol::in_flight;

use crate::tally::lock;

/// The runs that are going on, by the number of their plugin.
#[derive(Debug)]
pub(crate) struct InFlight {
    page: File,
    counts: Mutex<Vec<u32>>,
}

impl InFlight {
    /// None, for this many plugins. `page` is the daemon's.
    #[must_use]
    pub(crate) fn new(page: File, plugins: usize) -> Self {
        Self {
            page,
            counts: Mutex::new(vec![0; plugins]),
        }
    }

    /// Notes that something of a plugin runs, until the answer is dropped. If this process dies
    /// meanwhile, the plugin is a suspect.
    #[must_use]
    pub(crate) fn begin(&self, plugin: usize) -> Run<'_> {
        self.change(plugin, |runs| runs.saturating_add(1));
        Run { all: self, plugin }
    }

    fn change(&self, plugin: usize, how: impl FnOnce(u32) -> u32) {
        // Written while locked: the page tells the last of two counts, not the one before it.
        if let Some(runs) = lock(&self.counts).get_mut(plugin) {
            *runs = how(*runs);
            // To memory, at a place that is there; if it failed, a death would have no suspect.
            let _ = in_flight::note(&self.page, plugin, *runs);
        }
    }
}

/// Something of a plugin runs as long as this lives.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    all: &'a InFlight,
    plugin: usize,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.all.change(self.plugin, |runs| runs.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_counts_the_runs_of_each_plugin() {
        let page = in_flight::page(2).unwrap();
        let counts = || in_flight::counts(&page, 2).unwrap();
        let all = InFlight::new(page.try_clone().unwrap(), 2);
        let one = all.begin(1);
        let two = all.begin(1);
        assert_eq!(counts(), [0, 2]);
        drop(one);
        assert_eq!(counts(), [0, 1]);
        drop((all.begin(0), two));
        assert_eq!(counts(), [0, 0]);
    }
}
