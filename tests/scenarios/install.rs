//! Where `make install` puts things.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use mainstay_lab::mainstay;
use mainstay_lab::skip::{Need, skip};

/// Everything that is installed below the prefix.
const FILES: [&str; 16] = [
    "bin/mainstay",
    "lib/mainstay/mainstay-worker",
    "lib/mainstay/plugins/log.wasm",
    "lib/mainstay/plugins/process.wasm",
    "lib/mainstay/plugins/stock.toml",
    "lib/mainstay/plugins/tcp.wasm",
    "lib/systemd/system/mainstay-release.service",
    "lib/systemd/system/mainstay-stopped.target",
    "lib/systemd/system/mainstay-worker.socket",
    "lib/systemd/system/mainstay-worker@.service",
    "lib/systemd/system/mainstay.service",
    "lib/sysusers.d/mainstay.conf",
    "lib/tmpfiles.d/mainstay.conf",
    "share/doc/mainstay/mainstay.toml",
    "share/man/man5/mainstay.toml.5",
    "share/man/man8/mainstay.8",
];

#[test]
fn below_another_prefix_every_path_follows() -> Result<()> {
    let needs = [
        Need::Executable("make"),
        Need::File(mainstay::executable()),
        Need::File(mainstay::worker()),
    ];
    if skip("install_below_another_prefix_every_path_follows", &needs) {
        return Ok(());
    }
    let root = tempfile::tempdir()?;
    let output = Command::new("make")
        .args(["--no-print-directory", "install", "PREFIX=/opt/ha"])
        .arg(format!("DESTDIR={}", root.path().display()))
        .arg(format!("CARGO_TARGET_DIR={}", mainstay::target().display()))
        .current_dir(mainstay::tree())
        .output()?;
    assert!(output.status.success(), "{output:?}");
    let prefix = root.path().join("opt/ha");
    let mut found = Vec::new();
    files(&prefix, &prefix, &mut found)?;
    found.sort();
    assert_eq!(found, FILES);
    assert!(root.path().join("etc/mainstay/conf.d").is_dir());
    for text in found.iter().filter(|file| !is_binary(file)) {
        let said = fs::read_to_string(prefix.join(text))?;
        for usual in ["/usr/bin/mainstay", "/usr/lib/mainstay"] {
            assert!(!said.contains(usual), "{usual} is still in {text}");
        }
    }
    let unit = fs::read_to_string(prefix.join("lib/systemd/system/mainstay.service"))?;
    assert!(
        unit.contains("ExecStart=/opt/ha/bin/mainstay run"),
        "{unit}"
    );
    Ok(())
}

fn is_binary(file: &str) -> bool {
    file.starts_with("bin/") || file.starts_with("lib/mainstay/")
}

/// The files below a directory, as paths from `root`.
fn files(root: &Path, directory: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files(root, &path, found)?;
        } else {
            found.push(path.strip_prefix(root)?.display().to_string());
        }
    }
    Ok(())
}
