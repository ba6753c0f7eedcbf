//! The demonstration: two nodes and a client on one Ethernet, a real nginx, and a virtual address
//! that moves. Everything happens in namespaces and is gone in the end.

mod privilege;
mod story;

use std::process::ExitCode;

fn main() -> ExitCode {
    match privilege::enough() {
        Ok(()) => {}
        Err(code) => return code,
    }
    match story::tell() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the demonstration failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
