//! What wit-bindgen makes of the contract in `wit/`.
//!
//! Imports and each export are generated apart, so that a plugin exports only the roles that it has.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    clippy::use_self,
    reason = "generated code; what plugins see of it is documented in the contract"
)]

pub mod host {
    wit_bindgen::generate!({
        path: "../wit",
        world: "mainstay:plugin/host",
        features: ["service-manager"],
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

pub mod check {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package mainstay:plugin-sdk-check;
            world check-role { export mainstay:plugin/check@0.1.0; }
        ",
        with: { "mainstay:plugin/common@0.1.0": crate::bindings::host::mainstay::plugin::common },
        generate_unused_types: true,
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}

pub mod hook {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package mainstay:plugin-sdk-hook;
            world hook-role { export mainstay:plugin/hook@0.1.0; }
        ",
        with: { "mainstay:plugin/common@0.1.0": crate::bindings::host::mainstay::plugin::common },
        generate_unused_types: true,
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}

pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package mainstay:plugin-sdk-lifecycle;
            world described { export mainstay:plugin/lifecycle@0.1.0; }
        ",
        with: { "mainstay:plugin/common@0.1.0": crate::bindings::host::mainstay::plugin::common },
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}
