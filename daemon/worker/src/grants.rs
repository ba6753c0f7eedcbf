//! What a plugin may do, in the form in which each call is checked.

mod urls;

pub(crate) use urls::UrlGrant;

use std::path::PathBuf;
use std::sync::Arc;

use mainstay_protocol::{Grants as Spec, ProbeGrant, ProbeRules, ProcessGrant, Secret};

use crate::grant_line;
use crate::secrets::Secrets;

/// The grants of one plugin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// Whose they are.
    pub(crate) plugin: String,
    /// `permissions.process`.
    pub(crate) process: ProcessGrant,
    /// `permissions.probe`.
    pub(crate) probe: ProbeRules,
    /// `permissions.http`.
    pub(crate) http: UrlGrant,
    /// `permissions.wasi-http`.
    pub(crate) wasi_http: UrlGrant,
    /// `permissions.wasi-sockets`.
    pub(crate) wasi_sockets: ProbeRules,
    /// `permissions.files`.
    pub(crate) files: Vec<PathBuf>,
    /// All others, as they were given.
    pub(crate) spec: Spec,
    /// The values behind `permissions.secrets`.
    pub(crate) secrets: Arc<Secrets>,
}

impl Grants {
    /// Takes over the grants that the configuration gives a plugin.
    ///
    /// # Errors
    /// Every address that is neither a literal nor a prefix in CIDR form.
    pub(crate) fn new(plugin: &str, spec: Spec) -> Result<Self, Vec<String>> {
        Ok(Self {
            plugin: plugin.to_owned(),
            process: spec.process.clone(),
            probe: ProbeRules::new(spec.probe.clone())?,
            http: UrlGrant::new(spec.http.clone()),
            wasi_http: UrlGrant::new(spec.wasi_http.clone()),
            wasi_sockets: ProbeRules::new(spec.wasi_sockets.clone())?,
            files: spec.files.clone(),
            spec,
            secrets: Arc::default(),
        })
    }

    /// The same with the values of its secrets.
    #[must_use]
    pub(crate) fn with_secrets(self, secrets: Vec<Secret>) -> Self {
        let secrets = Arc::new(Secrets::new(secrets));
        Self { secrets, ..self }
    }

    /// Whether sockets of its own are any use to the plugin.
    #[must_use]
    pub(crate) fn may_make_sockets(&self) -> bool {
        let grant = self.wasi_sockets.grant();
        !grant.addresses.is_empty() && !grant.ports.is_empty()
    }

    /// The line of the configuration that grants what is granted already, and what `amend` adds.
    #[must_use]
    pub(crate) fn probe_line(&self, amend: impl FnOnce(&mut ProbeGrant)) -> String {
        let mut wanted = self.probe.grant().clone();
        amend(&mut wanted);
        grant_line::probe(&wanted)
    }
}
