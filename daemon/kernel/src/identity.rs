//! What tells one boot and one network namespace from another: evidence in the manifest holds only
//! for the place where it was written.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// The kernel's random id of this boot, as 36 characters of a UUID.
///
/// # Errors
///
/// When `/proc` is not there or not readable.
pub fn boot_id() -> io::Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(id.trim_end().to_owned())
}

/// The network namespace of the calling thread, as `DEVICE:INODE` of its file in `/proc`. Unique
/// among the namespaces that exist; a number can come back after its namespace has gone.
///
/// # Errors
///
/// When `/proc` is not there or not readable.
pub fn network_namespace() -> io::Result<String> {
    let namespace = fs::metadata("/proc/thread-self/ns/net")?;
    Ok(format!("{}:{}", namespace.dev(), namespace.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab;

    #[test]
    fn a_boot_has_one_id() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(id, boot_id().unwrap());
    }

    #[test]
    fn another_namespace_has_another_identity() {
        let here = network_namespace().unwrap();
        lab::run("another_namespace_has_another_identity", || {
            assert_ne!(network_namespace().unwrap(), here);
            assert_eq!(boot_id().unwrap().len(), 36);
        });
        assert_eq!(network_namespace().unwrap(), here);
    }
}
