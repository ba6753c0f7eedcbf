//! What a plugin may do, in the form in which each call is checked.

use mainstay_protocol::{Grants as Spec, ProbeGrant, ProbeRules, ProcessGrant};

use crate::grant_line;

/// The grants of one plugin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// Whose they are.
    pub(crate) plugin: String,
    /// `permissions.process`.
    pub(crate) process: ProcessGrant,
    /// `permissions.probe`.
    pub(crate) probe: ProbeRules,
}

impl Grants {
    /// Takes over the grants that the configuration gives a plugin.
    ///
    /// # Errors
    /// Every address that is neither a literal nor a prefix in CIDR form.
    pub(crate) fn new(plugin: &str, spec: Spec) -> Result<Self, Vec<String>> {
        Ok(Self {
            plugin: plugin.to_owned(),
            process: spec.process,
            probe: ProbeRules::new(spec.probe)?,
        })
    }

    /// The line of the configuration that grants what is granted already, and what `amend` adds.
    #[must_use]
    pub(crate) fn probe_line(&self, amend: impl FnOnce(&mut ProbeGrant)) -> String {
        let mut wanted = self.probe.grant().clone();
        amend(&mut wanted);
        grant_line::probe(&wanted)
    }
}
