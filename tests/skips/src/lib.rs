//! How a test reports that it is left out: by name and with the reason, never as a pass that nobody can
//! tell from one.

use std::fs::File;
use std::io::{self, Write};

/// Says on standard error why a test is left out, and notes it in the file that `MAINSTAY_SKIPS` names.
///
/// # Panics
/// When the file cannot be written: a skip must not get lost.
pub fn skip(test: &str, reason: &str) {
    // Not by a macro, whose output the test harness would keep to itself.
    let _ = writeln!(io::stderr(), "SKIP {test}: {reason}");
    if let Some(path) = std::env::var_os("MAINSTAY_SKIPS") {
        let list = File::options().create(true).append(true).open(path);
        writeln!(list.expect("the list of skips"), "{test}: {reason}").expect("the list of skips");
    }
}
