//! Runs of the plugin that makes the calls in its settings; `tests/prober` has it.

use std::path::{Path, PathBuf};

use mainstay_protocol::{Grants, ProbeGrant};
use serde_json::{Value, json};

use crate::harness::Setup;

/// The component.
///
/// # Panics
/// When it has not been built: a test that finds nothing to test must not pass.
pub fn component() -> Vec<u8> {
    let built = "../../target/test-plugins/prober.wasm";
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(built);
    let missing = "run tests/guest/build.sh";
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: {missing}", path.display()))
}

/// A check `c` of it that makes these calls, with time for them and no grant.
pub fn setup(calls: Value) -> Setup {
    Setup::with_check(&component())
        .settings(json!({ "calls": calls }))
        .timing(20_000, 20_000)
}

/// The same, with a grant to probe.
pub fn probing(calls: Value, probe: ProbeGrant) -> Setup {
    setup(calls).grants(Grants {
        probe,
        ..Grants::default()
    })
}

/// What came of each call of one run.
///
/// # Panics
/// When the run gave no report.
pub fn outcomes(setup: &Setup) -> Vec<Value> {
    parsed(&setup.run())
}

/// What a report says of each call.
///
/// # Panics
/// When there are lines of something else.
pub fn parsed(report: &mainstay_protocol::RunReport) -> Vec<Value> {
    let lines = report.log.iter();
    let parsed = lines.map(|(_, line)| serde_json::from_str(line).expect(line));
    let parsed: Vec<Value> = parsed.collect();
    assert!(!parsed.is_empty(), "{report:?}");
    parsed
}

/// A grant of these addresses and ports.
pub fn grant(addresses: &[&str], ports: &[u16]) -> ProbeGrant {
    ProbeGrant {
        addresses: addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect(),
        ports: ports.to_vec(),
        ..ProbeGrant::default()
    }
}
