//! The plugins that a worker runs, as it notes them on a page that is still here when it is gone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use mainstay_protocol::{Load, in_flight};

/// The page of one worker. None runs by default.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    page: Option<File>,
    /// By their place on the page.
    plugins: Vec<String>,
}

impl InFlight {
    /// A page for a worker that is to load this, and the worker's descriptor of it.
    ///
    /// # Errors
    /// When the system has no memory or no descriptor for it.
    pub(super) fn of(load: &Load) -> io::Result<(Self, OwnedFd)> {
        let plugins = load.plugins.iter().map(|spec| spec.name.clone());
        let plugins: Vec<String> = plugins.collect();
        let page = in_flight::page(plugins.len())?;
        let theirs = page.try_clone()?.into();
        let page = Some(page);
        Ok((Self { page, plugins }, theirs))
    }

    /// The plugins with a run in flight, as the worker says.
    pub(super) fn suspects(&self) -> BTreeSet<String> {
        let page = self.page.as_ref();
        let counts = page.map(|page| in_flight::counts(page, self.plugins.len()));
        // It can be read as long as we have it, whatever the worker does to it.
        let counts = counts.and_then(Result::ok).unwrap_or_default();
        let plugins = self.plugins.iter().zip(counts);
        plugins
            .filter(|(_, runs)| *runs > 0)
            .map(|(plugin, _)| plugin.clone())
            .collect()
    }
}
