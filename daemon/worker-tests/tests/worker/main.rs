//! The worker as the daemon sees it: the executable at the other end of a socket, with plugins
//! that are small. What hostile ones do is in `tests/adversarial`.

mod code;
mod compiling;
mod confinement;
mod data;
mod files;
mod golden;
mod grants;
mod hooks;
mod http;
mod https;
mod loading;
mod names;
mod peers;
mod probe;
mod schedule;
mod schemas;
mod wasi;
