//! The contract in `wit/`, as Rust.

#![allow(missing_docs, reason = "generated; the contract is documented in wit/")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "full-plugin",
    imports: { default: async },
    exports: { default: async },
    with: { "mainstay:plugin/probe.connection": crate::host::Connection },
});

pub(crate) use exports::mainstay::plugin::{check, hook, lifecycle};
pub(crate) use mainstay::plugin::{budget, common, http, log, network, probe, process};

/// Version of the contract that this worker implements.
pub(crate) const VERSION: &str = "0.1.0";
