//! Scenarios: real daemons, real kernel, one network per test.

mod interoperation;
mod setup;
