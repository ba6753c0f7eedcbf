//! `<state-dir>/plugins/NAME.json`: what one plugin has kept.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::store::Store;

/// Version of the file's format.
const VERSION: u32 = 1;

/// Over this it is no such file: the largest grant in base64, and the keys.
const LIMIT: u64 = 512 << 10;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Document {
    version: u32,
    plugin: String,
    entries: Store,
}

/// What a plugin had kept; nothing when there is no file. One that cannot be understood is set aside, with a warning.
pub(super) fn read(directory: &Path, plugin: &str) -> Store {
    let path = path(directory, plugin);
    let document = match open(&path) {
        Ok(Some(bytes)) => understand(&bytes, plugin),
        Ok(None) => return Store::default(),
        Err(error) => Err(error.to_string()),
    };
    document.unwrap_or_else(|reason| {
        let aside = path.with_extension("json.corrupt");
        let kept = fs::rename(&path, &aside).is_ok();
        tracing::warn!(
            file = %path.display(),
            kept_as = kept.then(|| aside.display().to_string()),
            reason,
            "what a plugin had kept can't be understood: it begins anew"
        );
        Store::default()
    })
}

fn open(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LIMIT {
        true => Err(io::Error::other("larger than any plugin's")),
        false => Ok(Some(bytes)),
    }
}

fn understand(bytes: &[u8], plugin: &str) -> Result<Store, String> {
    // Not the error's own text, which may quote what the plugin keeps.
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("damaged at line {}", error.line()))?;
    if document.version != VERSION {
        return Err(format!("version {} of the format", document.version));
    }
    if document.plugin != plugin || !document.entries.is_possible() {
        return Err("not what this plugin could have kept".to_owned());
    }
    Ok(document.entries)
}

/// Replaces the file, on disk before it returns. It is for the daemon's user only.
///
/// # Errors
/// What the system says; the file is then as it was.
pub(super) fn write(directory: &Path, plugin: &str, store: &Store) -> io::Result<()> {
    let document = Document {
        version: VERSION,
        plugin: plugin.to_owned(),
        entries: store.clone(),
    };
    let bytes = serde_json::to_vec(&document)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let path = path(directory, plugin);
    // Always the same name, so that a daemon that dies here leaves one file at most, and the next write replaces it.
    let new = path.with_extension("json.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(directory)?.sync_all()
}

/// A plugin's name has no slash; with the ending it is neither `.` nor `..`.
fn path(directory: &Path, plugin: &str) -> PathBuf {
    directory.join(format!("{plugin}.json"))
}
