//! Figures, measured beside keepalived in one run: `make bench` prints them.

mod checks;
mod processor;

use std::process::ExitCode;

use mainstay_lab::skip::{Need, skip};

fn main() -> ExitCode {
    let needs = [
        Need::Root,
        Need::Executable("ip"),
        Need::Executable("keepalived"),
        Need::Executable("nginx"),
        Need::Executable("pgrep"),
    ];
    if skip("bench", &needs) {
        return ExitCode::from(69);
    }
    match checks::compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nothing was measured: {error:#}");
            ExitCode::FAILURE
        }
    }
}
