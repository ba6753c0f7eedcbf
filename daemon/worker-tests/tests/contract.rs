//! The contract in `wit/` keeps what every version that was frozen has promised.

use std::path::{Path, PathBuf};

use mainstay_worker_tests::contract::{Contract, INSTEAD};

#[test]
fn every_frozen_version_is_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let present = Contract::read(&root.join("wit"));
    let entries = root.join("tests/compat").read_dir().unwrap();
    let versions: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("world.wit").is_file())
        .collect();
    assert!(!versions.is_empty(), "no version is frozen");
    for directory in versions {
        let frozen = Contract::read(&directory);
        let version = frozen.version();
        assert_eq!(directory.file_name().unwrap(), version.as_str());
        let broken = frozen.broken_by(&present);
        assert!(
            broken.is_empty(),
            "wit/ breaks version {version} of the contract, which is frozen in tests/compat/{version}:\n- {}\n\n{INSTEAD}",
            broken.join("\n- ")
        );
    }
}
