//! The threats against which plugins are sandboxed. README.md beside this file has the table; a test
//! is named after the number of its threat.

mod answers;
mod bombs;
mod ending;
mod faults;
mod frames;
mod fresh;
mod memory;
mod output;
mod peers;
mod processes;
mod threats;
mod time;
