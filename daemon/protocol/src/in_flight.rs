//! How many runs of each plugin are going on: a page of memory that the daemon makes, and the worker
//! writes before and after each run. It outlives the worker, so a worker that dies need not have
//! said anything: the plugins with a count are the suspects.
//!
//! A count is four bytes (little endian), at the place that the plugin has in
//! [`Load::plugins`](crate::Load::plugins).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SealFlags, fcntl_add_seals};

use crate::sealed;

/// Bytes of one count.
const COUNT: usize = size_of::<u32>();

/// A page for this many plugins, of which none runs. Nobody can change its size.
///
/// # Errors
/// When the system has no memory or no descriptor for it.
pub fn page(plugins: usize) -> io::Result<File> {
    let page = File::from(sealed::create("mainstay-in-flight")?);
    page.set_len((plugins * COUNT) as u64)?;
    fcntl_add_seals(&page, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(page)
}

/// Writes how many runs of the plugin at this place are going on.
///
/// # Errors
/// When there is no such place on the page.
pub fn note(page: &File, plugin: usize, runs: u32) -> io::Result<()> {
    page.write_all_at(&runs.to_le_bytes(), (plugin * COUNT) as u64)
}

/// The counts of the first `plugins`, whatever the worker has written there.
///
/// # Errors
/// When the page has fewer.
pub fn counts(page: &File, plugins: usize) -> io::Result<Vec<u32>> {
    let mut bytes = vec![0; plugins * COUNT];
    page.read_exact_at(&mut bytes, 0)?;
    let (counts, _) = bytes.as_chunks();
    Ok(counts
        .iter()
        .map(|count| u32::from_le_bytes(*count))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_has_its_count_and_there_is_no_other() {
        let page = page(3).unwrap();
        let worker = page.try_clone().unwrap();
        note(&worker, 1, 7).unwrap();
        note(&worker, 2, u32::MAX).unwrap();
        assert_eq!(counts(&page, 3).unwrap(), [0, 7, u32::MAX]);
        note(&worker, 1, 0).unwrap();
        assert_eq!(counts(&page, 3).unwrap(), [0, 0, u32::MAX]);
        assert!(note(&worker, 3, 1).is_err());
        assert!(counts(&page, 4).is_err());
    }

    #[test]
    fn a_worker_cannot_change_the_size() {
        let page = page(2).unwrap();
        let worker = page.try_clone().unwrap();
        assert!(worker.set_len(0).is_err());
        assert!(worker.set_len(1 << 20).is_err());
        assert_eq!(counts(&page, 2).unwrap(), [0, 0]);
    }
}
