//! As many files and listings at the same time as there are to be had.

use std::fs::File;
use std::iter;
use std::thread;
use std::time::Duration;

use wasip2::filesystem::preopens::get_directories;

/// Where a guest that is never refused stops.
const MOST: usize = 950;

/// Opens a file again and again until that is refused, waits for so long, and says how many it had.
pub(crate) fn files(path: &str, wait: Duration) -> String {
    let open = || File::open(path).ok();
    let files: Vec<File> = iter::from_fn(open).take(MOST).collect();
    thread::sleep(wait);
    files.len().to_string()
}

/// The same with listings of a granted directory.
pub(crate) fn listings(path: &str) -> Result<String, String> {
    let granted = get_directories();
    let directory = granted.iter().find(|(_, name)| name == path);
    let (directory, _) = directory.ok_or("not granted")?;
    let open = || directory.read_directory().ok();
    let listings: Vec<_> = iter::from_fn(open).take(MOST).collect();
    Ok(listings.len().to_string())
}
