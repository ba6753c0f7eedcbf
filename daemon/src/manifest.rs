//! The list of addresses that this node may take out of the kernel again: the evidence without
//! which nothing is removed (architecture rule 7).
//!
//! `<state-dir>/manifest.json` names every address of every configuration that has been in force
//! and not yet been cleaned up. It grows before a configuration is applied and shrinks after its
//! predecessor's addresses are gone, so that at no moment an address of ours is missing from it.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown};
use std::path::{Path, PathBuf};

use mainstay_core::address::Prefix;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::exit;

/// Version of the file's format.
const VERSION: u32 = 1;

/// Over this size it is no manifest: 4 MiB hold some 50,000 addresses.
const SIZE_LIMIT: u64 = 4 << 20;

/// Name of an interface and an address on it.
pub(crate) type Owned = (String, Prefix);

/// Where addresses are: gone with the boot, and with the network namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Place {
    /// The kernel's boot id.
    pub(crate) boot_id: String,
    /// Device and inode number of the network namespace.
    pub(crate) network_namespace: String,
}

impl Place {
    /// The running kernel, and this thread's network namespace.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub(crate) fn here() -> io::Result<Self> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::metadata("/proc/thread-self/ns/net")?;
        Ok(Self {
            boot_id: boot_id.trim().to_owned(),
            network_namespace: format!("{}:{}", namespace.dev(), namespace.ino()),
        })
    }
}

/// The manifest, as it is on disk. Nobody else has the state directory until it is dropped: of two
/// that write the same file, each would take out what the other has claimed.
#[derive(Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    /// The directory, locked for as long as it is open.
    _held: File,
    place: Place,
    addresses: BTreeSet<Owned>,
}

impl Manifest {
    /// Makes the state directory (mode 0700) where it is missing, takes it and reads its manifest.
    /// None there, or one of another boot or network namespace, is an empty one: what it listed is
    /// not here.
    ///
    /// # Errors
    /// [`ManifestError::Held`] when another process has the directory, [`ManifestError::Corrupt`]
    /// when the file can't be understood, [`ManifestError::Io`] when it can't be read.
    pub(crate) fn open(state_dir: &Path, place: Place) -> Result<Self, ManifestError> {
        let held = hold(state_dir)?;
        let path = manifest(state_dir);
        let document = read(&path)?;
        Ok(Self::of(document, held, path, place))
    }

    /// As [`Self::open`], but a file that can't be understood is moved to `manifest.json.corrupt`
    /// with a warning, since a node that serves is worth more than one that cleans up.
    ///
    /// # Errors
    /// [`ManifestError::Held`], and [`ManifestError::Io`] when the file can be neither read nor
    /// moved.
    pub(crate) fn open_or_set_aside(state_dir: &Path, place: Place) -> Result<Self, ManifestError> {
        let held = hold(state_dir)?;
        let path = manifest(state_dir);
        let document = match read(&path) {
            Err(ManifestError::Corrupt { path, reason }) => {
                let aside = path.with_extension("json.corrupt");
                fs::rename(&path, &aside).map_err(|source| ManifestError::io(&path, source))?;
                tracing::warn!(
                    file = %path.display(),
                    kept_as = %aside.display(),
                    reason,
                    "the manifest can't be understood: addresses of an earlier run that carry no \
                     mark will not be removed"
                );
                None
            }
            other => other?,
        };
        Ok(Self::of(document, held, path, place))
    }

    fn of(document: Option<Document>, held: File, path: PathBuf, place: Place) -> Self {
        let here = document.filter(|document| document.place == place);
        let entries = here.into_iter().flat_map(|document| document.addresses);
        let addresses = entries.map(|entry| (entry.interface, entry.address));
        Self {
            path,
            _held: held,
            place,
            addresses: addresses.collect(),
        }
    }

    /// Everything that is ours.
    pub(crate) fn addresses(&self) -> Vec<Owned> {
        self.addresses.iter().cloned().collect()
    }

    /// Adds these, on disk before it returns. Call it before a configuration is applied. What is
    /// `unmarked` was put into the kernel by somebody else, unless it is listed already: without
    /// marks the list is all there is to tell by, so it stays out.
    ///
    /// # Errors
    /// [`ManifestError::Io`]; the list is then as it was.
    pub(crate) fn claim(
        &mut self,
        addresses: impl IntoIterator<Item = Owned>,
        unmarked: &[Owned],
    ) -> Result<(), ManifestError> {
        let mut union = self.addresses.clone();
        let new = addresses.into_iter();
        union.extend(new.filter(|address| !unmarked.contains(address)));
        self.replace(union)
    }

    /// Leaves only these of the list. Call it when the others are out of the kernel.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub(crate) fn shrink_to(
        &mut self,
        addresses: impl IntoIterator<Item = Owned>,
    ) -> Result<(), ManifestError> {
        let keep: BTreeSet<Owned> = addresses.into_iter().collect();
        self.replace(self.addresses.intersection(&keep).cloned().collect())
    }

    fn replace(&mut self, addresses: BTreeSet<Owned>) -> Result<(), ManifestError> {
        if addresses == self.addresses {
            return Ok(());
        }
        let document = Document {
            version: VERSION,
            place: self.place.clone(),
            addresses: addresses
                .iter()
                .map(|(interface, address)| Entry {
                    interface: interface.clone(),
                    address: *address,
                })
                .collect(),
        };
        write(&self.path, &document).map_err(|source| ManifestError::io(&self.path, source))?;
        self.addresses = addresses;
        Ok(())
    }
}

/// The file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Document {
    version: u32,
    place: Place,
    addresses: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    interface: String,
    address: Prefix,
}

fn manifest(state_dir: &Path) -> PathBuf {
    state_dir.join("manifest.json")
}

/// Locks the directory itself, which leaves no file of somebody else's in it.
fn hold(state_dir: &Path) -> Result<File, ManifestError> {
    let io = |source| ManifestError::io(state_dir, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(io)?;
    let directory = File::open(state_dir).map_err(io)?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => Err(ManifestError::Held {
            path: state_dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

fn read(path: &Path) -> Result<Option<Document>, ManifestError> {
    let corrupt = |reason: String| ManifestError::Corrupt {
        path: path.to_owned(),
        reason,
    };
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ManifestError::io(path, source)),
    };
    if size > SIZE_LIMIT {
        return Err(corrupt(format!("{size} bytes are no manifest")));
    }
    let text = fs::read(path).map_err(|source| ManifestError::io(path, source))?;
    let document: Document =
        serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))?;
    if document.version != VERSION {
        return Err(corrupt(format!(
            "it has version {}, this is version {VERSION}",
            document.version
        )));
    }
    Ok(Some(document))
}

/// Either the old file or the new one is there after a power cut, never half of one.
fn write(path: &Path, document: &Document) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    let mut file = NamedTempFile::new_in(directory)?;
    serde_json::to_writer_pretty(&mut file, document)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    // Root may release what a daemon of another user has left, and that one reads it again.
    if geteuid().is_root() {
        let owner = fs::metadata(directory)?;
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

/// Why there is no manifest to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// Another daemon, or a release, has the state directory.
    #[error(
        "another daemon keeps its manifest in {path}: stop it, or give this one a directory of its \
         own with --state-dir",
        path = path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
    },
    /// The file is there and can't be understood.
    #[error(
        "{path} can't be understood ({reason}): remove the addresses by hand, then the file",
        path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ManifestError {
    /// The exit code after it, unless a missing right is behind it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Held { .. } => exit::UNAVAILABLE,
            Self::Corrupt { .. } | Self::Io { .. } => exit::IO,
        }
    }

    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(boot: &str) -> Place {
        Place {
            boot_id: boot.to_owned(),
            network_namespace: "4:1".to_owned(),
        }
    }

    fn owned(address: &str) -> Owned {
        ("eth0".to_owned(), address.parse().unwrap())
    }

    #[test]
    fn what_was_claimed_is_there_after_a_crash_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (owned("10.0.0.1/24"), owned("10.0.0.2/24"));
        let mut first = Manifest::open(directory.path(), place("x")).unwrap();
        first.claim([a.clone()], &[]).unwrap();
        first.claim([b.clone()], &[]).unwrap();
        drop(first);

        let mut second = Manifest::open(directory.path(), place("x")).unwrap();
        assert_eq!(second.addresses(), [a, b.clone()]);
        second.shrink_to([b.clone(), owned("10.0.0.3/24")]).unwrap();
        drop(second);

        let third = Manifest::open(directory.path(), place("x")).unwrap();
        assert_eq!(third.addresses(), [b]);
        let files = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1, "a temporary file was left");
    }

    /// Without root the file is the user's, who owns the directory too.
    #[test]
    fn the_manifest_belongs_to_the_owner_of_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let owner = if geteuid().is_root() {
            65534
        } else {
            geteuid().as_raw()
        };
        std::os::unix::fs::chown(directory.path(), Some(owner), None).unwrap();
        let mut manifest = Manifest::open(directory.path(), place("x")).unwrap();
        manifest.claim([owned("10.0.0.1/24")], &[]).unwrap();
        let file = fs::metadata(directory.path().join("manifest.json")).unwrap();
        assert_eq!(file.uid(), owner);
    }

    #[test]
    fn a_state_directory_has_one_manifest_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("lib/mainstay");
        let first = Manifest::open_or_set_aside(&path, place("x")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        for again in [Manifest::open, Manifest::open_or_set_aside] {
            let error = again(&path, place("x")).unwrap_err();
            assert!(matches!(error, ManifestError::Held { .. }), "{error}");
            assert!(error.to_string().contains("--state-dir"), "{error}");
        }
        drop(first);
        Manifest::open(&path, place("x")).unwrap();
    }

    #[test]
    fn the_addresses_of_another_boot_or_namespace_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::open(directory.path(), place("x")).unwrap();
        manifest.claim([owned("10.0.0.1/24")], &[]).unwrap();
        drop(manifest);

        let rebooted = Manifest::open(directory.path(), place("y")).unwrap();
        assert!(rebooted.addresses().is_empty());
        drop(rebooted);
        let mut elsewhere = place("x");
        elsewhere.network_namespace = "4:2".to_owned();
        let elsewhere = Manifest::open(directory.path(), elsewhere).unwrap();
        assert!(elsewhere.addresses().is_empty());
    }

    #[test]
    fn what_was_there_before_us_is_not_claimed() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (owned("10.0.0.1/24"), owned("10.0.0.2/24"));
        let mut manifest = Manifest::open(directory.path(), place("x")).unwrap();
        let configured = || [a.clone(), b.clone()];
        manifest
            .claim(configured(), std::slice::from_ref(&a))
            .unwrap();
        assert_eq!(manifest.addresses(), std::slice::from_ref(&b));
        // Listed before, so it is there because of us.
        manifest.claim(configured(), &configured()).unwrap();
        assert_eq!(manifest.addresses(), [b]);
    }

    #[test]
    fn a_corrupt_file_is_an_error_or_set_aside() {
        for text in [
            "",
            "{",
            "{\"version\":99,\"place\":{\"boot-id\":\"x\",\"network-namespace\":\"4:1\"},\"addresses\":[]}",
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("manifest.json");
            fs::write(&path, text).unwrap();
            let error = Manifest::open(directory.path(), place("x")).unwrap_err();
            assert!(matches!(error, ManifestError::Corrupt { .. }), "{error}");

            let manifest = Manifest::open_or_set_aside(directory.path(), place("x")).unwrap();
            assert!(manifest.addresses().is_empty());
            let aside = directory.path().join("manifest.json.corrupt");
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
        }
    }

    #[test]
    fn a_list_that_could_not_be_written_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("gone");
        let mut manifest = Manifest::open(&state, place("x")).unwrap();
        fs::remove_dir(&state).unwrap();
        let error = manifest.claim([owned("10.0.0.1/24")], &[]).unwrap_err();
        assert!(matches!(error, ManifestError::Io { .. }), "{error}");
        assert!(manifest.addresses().is_empty());
    }

    #[test]
    fn this_place_is_the_same_twice() {
        assert_eq!(Place::here().unwrap(), Place::here().unwrap());
    }
}
