//! The worker as the daemon sees it: the executable at the other end of a socket, with plugins
//! that are small, and mostly hostile.

mod attacks;
mod code;
mod compiling;
mod confinement;
mod files;
mod frames;
mod grants;
mod hooks;
mod hostile;
mod http;
mod loading;
mod names;
mod peers;
mod probe;
mod schedule;
mod wasi;
