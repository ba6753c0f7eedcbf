//! The executable of the daemon and its commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::main()
}
