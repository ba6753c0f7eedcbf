//! The interfaces of a component by name: what it exports of the contract, what it imports, and
//! which of that this worker does not have.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::bindings::VERSION;

/// What this worker links, by package: interfaces and the version that imports are matched to.
const LINKED: &[(&str, &str, &[&str])] = &[
    (
        "mainstay:plugin",
        VERSION,
        &[
            "budget", "common", "fifo", "http", "log", "network", "probe", "process", "routers",
            "secrets", "services", "state", "units",
        ],
    ),
    (
        "wasi:cli",
        "0.2.12",
        &[
            "environment",
            "exit",
            "stderr",
            "stdin",
            "stdout",
            "terminal-input",
            "terminal-output",
            "terminal-stderr",
            "terminal-stdin",
            "terminal-stdout",
        ],
    ),
    ("wasi:clocks", "0.2.12", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", "0.2.12", &["preopens", "types"]),
    ("wasi:http", "0.2.12", &["outgoing-handler", "types"]),
    ("wasi:io", "0.2.12", &["error", "poll", "streams"]),
    (
        "wasi:random",
        "0.2.12",
        &["insecure", "insecure-seed", "random"],
    ),
    (
        "wasi:sockets",
        "0.2.12",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// What is linked and not stable: interface of the contract, and its feature.
const UNSTABLE: &[(&str, &str)] = &[("units", "service-manager")];

/// The exports of the contract that decide what a plugin can be used as.
const ROLES: [&str; 2] = ["check", "hook"];

/// The interfaces of one component.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Interfaces {
    /// Names of all imports, sorted.
    pub(crate) imports: Vec<String>,
    /// Imports that this worker does not have, sorted.
    pub(crate) unknown: Vec<String>,
    /// Version of `mainstay:plugin` in its exports.
    pub(crate) api: Option<String>,
    /// `check`, `hook`: what it can be used as.
    pub(crate) roles: Vec<String>,
    /// Whether it exports `lifecycle`.
    pub(crate) lifecycle: bool,
}

impl Interfaces {
    /// Reads them from a component's type.
    #[must_use]
    pub(crate) fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        let exports = ty.exports(engine).map(|(name, _)| name);
        let imports = ty.imports(engine).map(|(name, _)| name);
        Self::from_names(imports, exports)
    }

    /// The features that are not stable, that it imports and that nobody has allowed.
    #[must_use]
    pub(crate) fn not_allowed(&self, allowed: &[String]) -> Vec<&'static str> {
        let imports = |interface: &str| {
            let prefix = format!("mainstay:plugin/{interface}@");
            self.imports.iter().any(|name| name.starts_with(&prefix))
        };
        let features = UNSTABLE.iter().filter(|(interface, _)| imports(interface));
        features
            .map(|(_, feature)| *feature)
            .filter(|feature| !allowed.iter().any(|name| name == feature))
            .collect()
    }

    fn from_names<'a>(
        imports: impl Iterator<Item = &'a str>,
        exports: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut found = Self::default();
        for name in exports {
            let Some((interface, version)) = name
                .strip_prefix("mainstay:plugin/")
                .and_then(|rest| rest.split_once('@'))
                .filter(|(_, version)| compatible(version, VERSION))
            else {
                continue;
            };
            if ROLES.contains(&interface) {
                found.roles.push(interface.to_owned());
                found.api = Some(version.to_owned());
            }
            found.lifecycle |= interface == "lifecycle";
        }
        for name in imports {
            found.imports.push(name.to_owned());
            if !is_linked(name) {
                found.unknown.push(name.to_owned());
            }
        }
        found.roles.sort();
        found.imports.sort();
        found.unknown.sort();
        found
    }
}

/// Advice on imports that this worker does not have.
#[must_use]
pub(crate) fn help_for(unknown: &[String]) -> String {
    let newer = unknown.iter().find_map(|name| {
        let version = name.strip_prefix("mainstay:plugin/")?.split_once('@')?.1;
        Some(format!(
            "it was built against version {version} of the contract, this daemon has {VERSION}"
        ))
    });
    newer.unwrap_or_else(|| {
        "build it against the worlds in wit/, which name everything that a plugin may import"
            .to_owned()
    })
}

/// Whether an import's name is one of ours at a version that semver calls compatible. What the
/// interface holds in detail is for the linker to say.
fn is_linked(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else {
        return false;
    };
    let Some((package, interface)) = interface.split_once('/') else {
        return false;
    };
    LINKED.iter().any(|(ours, have, interfaces)| {
        *ours == package && interfaces.contains(&interface) && compatible(version, have)
    })
}

/// Whether two versions are of the same compatible series: 0.1.x, 0.2.x, 1.x.
fn compatible(one: &str, other: &str) -> bool {
    let series = |version: &str| {
        let mut parts = version.splitn(3, '.').map(str::to_owned);
        let major = parts.next()?;
        let minor = parts.next()?;
        Some(if major == "0" {
            (major, minor)
        } else {
            (major, String::new())
        })
    };
    !one.contains('-') && series(one).is_some_and(|one| Some(one) == series(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_told_by_package_name_and_series() {
        for name in [
            "mainstay:plugin/log@0.1.0",
            "mainstay:plugin/log@0.1.7",
            "wasi:io/poll@0.2.0",
            "wasi:cli/stdout@0.2.99",
        ] {
            assert!(is_linked(name), "{name}");
        }
        for name in [
            "mainstay:plugin/log@0.2.0",
            "mainstay:plugin/clairvoyance@0.1.0",
            "mainstay:plugin/log",
            "wasi:http/incoming-handler@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023-11-10",
            "log",
        ] {
            assert!(!is_linked(name), "{name}");
        }
    }

    #[test]
    fn roles_come_from_exports_of_this_series() {
        let found = Interfaces::from_names(
            ["b", "a"].into_iter(),
            [
                "mainstay:plugin/hook@0.1.3",
                "mainstay:plugin/check@0.1.3",
                "mainstay:plugin/lifecycle@0.1.3",
                "wasi:cli/run@0.2.0",
            ]
            .into_iter(),
        );
        assert_eq!(found.roles, ["check", "hook"]);
        assert_eq!(found.api.as_deref(), Some("0.1.3"));
        assert!(found.lifecycle);
        assert_eq!(found.unknown, ["a", "b"]);
        let other = ["mainstay:plugin/check@0.2.0"].into_iter();
        assert!(
            Interfaces::from_names(std::iter::empty(), other)
                .roles
                .is_empty()
        );
    }

    #[test]
    fn what_is_not_stable_has_to_be_allowed() {
        let imports = ["mainstay:plugin/units@0.1.0", "mainstay:plugin/log@0.1.0"];
        let found = Interfaces::from_names(imports.into_iter(), std::iter::empty());
        assert_eq!(found.not_allowed(&[]), ["service-manager"]);
        assert_eq!(found.not_allowed(&["other".into()]), ["service-manager"]);
        let allowed = ["service-manager".to_owned()];
        assert!(found.not_allowed(&allowed).is_empty());
        assert!(Interfaces::default().not_allowed(&[]).is_empty());
    }
}
