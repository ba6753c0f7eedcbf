//! The contract in `wit/`, as Rust.

#![allow(missing_docs, reason = "generated; the contract is documented in wit/")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "full-plugin",
    imports: {
        "mainstay:plugin/secrets.get": async | trappable,
        "mainstay:plugin/secrets.[method]secret.reveal": async | trappable,
        default: async,
    },
    exports: { default: async },
    with: {
        "mainstay:plugin/probe.connection": crate::host::Connection,
        "mainstay:plugin/secrets.secret": crate::host::Secret,
    },
});

pub(crate) use exports::mainstay::plugin::{check, hook, lifecycle};
pub(crate) use mainstay::plugin::{
    budget, common, fifo, http, log, network, probe, process, routers, secrets, services, state,
    units,
};

/// Version of the contract that this worker implements.
pub(crate) const VERSION: &str = "0.1.0";

impl common::RouterState {
    /// A state by its name in the frames.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "initialize" => Self::Initialize,
            "backup" => Self::Backup,
            "active" => Self::Active,
            "fault" => Self::Fault,
            "stopped" => Self::Stopped,
            _ => return None,
        })
    }
}

impl common::Family {
    /// A family by its name in the frames.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "ipv4" => Some(Self::Ipv4),
            "ipv6" => Some(Self::Ipv6),
            _ => None,
        }
    }
}
