//! The macros that make a component of a type.

/// Exports a type that is a [`Check`](crate::Check) as this component's check. A component has one check or one hook.
///
/// Name, version and summary of the plugin are those of the Cargo package (without `mainstay-plugin-` in front).
#[macro_export]
macro_rules! check {
    ($check:ty) => {
        $crate::__export!($check, $crate::check::Export<$check>, check);
    };
}

/// Exports a type that is a [`Hook`](crate::Hook) as this component's hook. A component has one check or one hook.
///
/// Name, version and summary of the plugin are those of the Cargo package (without `mainstay-plugin-` in front).
#[macro_export]
macro_rules! hook {
    ($hook:ty) => {
        $crate::__export!($hook, $crate::hook::Export<$hook>, hook);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $export:ty, $role:ident) => {
        const _: () = {
            impl $crate::lifecycle::Package for $plugin {
                const NAME: &'static str = env!("CARGO_PKG_NAME");
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");
                const SUMMARY: &'static str = env!("CARGO_PKG_DESCRIPTION");
            }

            type Export = $export;

            #[cfg(target_family = "wasm")]
            const _: () = {
                $crate::bindings::$role::export!(Export with_types_in $crate::bindings::$role);
                $crate::bindings::lifecycle::export!(Export with_types_in $crate::bindings::lifecycle);
            };

            // Elsewhere the linker would stumble over the names of the exports.
            #[cfg(not(target_family = "wasm"))]
            const _: fn() -> $crate::lifecycle::Description =
                <Export as $crate::lifecycle::Guest>::describe;
        };
    };
}
