//! The secrets that a plugin is granted: `permissions.secrets`, and the values behind it.
//!
//! They are read with the configuration, so that a worker that is started again gets what was there at the last load.
//! No problem ever shows a value.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mainstay_protocol::{SECRET_LIMIT, Secret, SecretBytes, SecretGrant};
use nix::unistd::geteuid;
use rustix::fs::OFlags;
use toml::de::DeValue;

use super::Options;
use super::table::{Spot, Table};
use super::value::Value;

/// Secrets of one plugin, at most.
const MOST: usize = 16;

/// The shortest value that is worth blotting out of what a plugin writes.
const SHORTEST: usize = 4;

/// Reads `["db-password", { name = "token", file = "/etc/…" }]`.
pub(super) fn read(table: &mut Table<'_>, options: &Options) -> (Vec<SecretGrant>, Vec<Secret>) {
    let Some(list) = table.take("secrets") else {
        return (Vec::new(), Vec::new());
    };
    let read = list.list(|value| one(value, options));
    let (mut grants, mut secrets) = (Vec::new(), Vec::new());
    for (grant, secret) in read {
        if grants
            .iter()
            .any(|other: &SecretGrant| other.name == grant.name)
        {
            let message = format!("the secret \"{}\" is granted twice", grant.name);
            list.spot.error(message, None);
        }
        grants.push(grant);
        secrets.push(secret);
    }
    if secrets.len() > MOST {
        let message = format!("these are more than {MOST} secrets");
        list.spot
            .error(message, Some("one file can hold several".to_owned()));
    }
    (grants, secrets)
}

fn one(value: &Value<'_>, options: &Options) -> Option<(SecretGrant, Secret)> {
    let (name, file) = match value.content() {
        DeValue::String(_) => (secret_name(value)?, None),
        DeValue::Table(_) => {
            let mut table = value.table()?;
            let name = table.require("name", "\"db-password\"");
            let file = table.require("file", "\"/etc/mainstay/db-password\"");
            table.finish();
            let (name, file) = (name?, file?);
            (secret_name(&name)?, Some((file.spot.clone(), file.path()?)))
        }
        _ => {
            value.wrong_type("a name or { name = \"…\", file = \"…\" }");
            return None;
        }
    };
    let bytes = match &file {
        Some((spot, path)) => {
            if let Some((message, help)) = options.readers.obstacle(path) {
                spot.warn(message, Some(help));
            }
            of_file(path).map_err(|error| report(spot, &error))
        }
        None => of_credential(&name, options.credentials.as_deref())
            .map_err(|error| report(&value.spot, &error)),
    };
    let bytes = bytes.ok()?;
    if bytes.len() < SHORTEST {
        let message = format!(
            "a secret of {} bytes cannot be kept out of the log",
            bytes.len()
        );
        value.spot.warn(message, None);
    }
    let grant = SecretGrant {
        name: name.clone(),
        file: file.map(|(_, path)| path),
    };
    let value = SecretBytes::new(bytes);
    Some((grant, Secret { name, value }))
}

fn secret_name(value: &Value<'_>) -> Option<String> {
    let name = value.text()?;
    if !is_name(name) {
        let message = format!("\"{}\" cannot name a secret", name.escape_default());
        let help = "1 to 64 letters, digits, dots, dashes or underscores, no dot in front";
        value.spot.error(message, Some(help.to_owned()));
        return None;
    }
    Some(name.to_owned())
}

/// Whether this can be a secret's name, and a credential's.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

fn report(spot: &Spot<'_>, error: &SecretError) {
    spot.error(error.to_string(), error.help());
}

/// The value of a systemd credential, from the directory that the service manager has passed.
///
/// # Errors
/// [`SecretError`]; without a directory there is none.
pub(crate) fn of_credential(name: &str, directory: Option<&Path>) -> Result<Vec<u8>, SecretError> {
    let Some(directory) = directory else {
        return Err(SecretError::NoCredentials(name.to_owned()));
    };
    let path = directory.join(name);
    // Who may read it is the service manager's business.
    open(&path).and_then(|file| whole(file, &path))
}

/// The value in a file that only its owner, root or this user, can write, and that not everybody can read.
///
/// # Errors
/// [`SecretError`].
pub(crate) fn of_file(path: &Path) -> Result<Vec<u8>, SecretError> {
    let failed = |error| SecretError::Io(path.into(), error);
    let file = open(path)?;
    let metadata = file.metadata().map_err(failed)?;
    let user = geteuid();
    // Root looks at it for the daemon, whose file it may be.
    if metadata.uid() != 0 && metadata.uid() != user.as_raw() && !user.is_root() {
        return Err(SecretError::Owner(path.into()));
    }
    if metadata.mode() & 0o027 != 0 {
        return Err(SecretError::Open(path.into()));
    }
    whole(file, path)
}

fn open(path: &Path) -> Result<File, SecretError> {
    let failed = |error| SecretError::Io(path.into(), error);
    // O_NONBLOCK: a named pipe in place of the file must not hold up anybody.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = file.map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(SecretError::NotAFile(path.into()));
    }
    Ok(file)
}

fn whole(file: File, path: &Path) -> Result<Vec<u8>, SecretError> {
    // Of the right size from the start: a buffer that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(SECRET_LIMIT + 1);
    file.take(SECRET_LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| SecretError::Io(path.into(), error))?;
    match bytes.len() {
        0 => Err(SecretError::Empty(path.into())),
        length if length > SECRET_LIMIT => Err(SecretError::TooLong(path.into())),
        _ => Ok(bytes),
    }
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// Not started with credentials.
    #[error("systemd passed no credentials")]
    NoCredentials(String),
    /// It belongs to somebody else.
    #[error("{0} belongs to another user")]
    Owner(PathBuf),
    /// Others may read or change it.
    #[error("{0} can be read or changed by others")]
    Open(PathBuf),
    /// A directory, a pipe, a device.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// Nothing in it.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// Over [`SECRET_LIMIT`].
    #[error("{0} is longer than {limit} KiB", limit = SECRET_LIMIT >> 10)]
    TooLong(PathBuf),
    /// The system could not read it.
    #[error("{0} cannot be read: {1}")]
    Io(PathBuf, io::Error),
}

impl SecretError {
    /// What to do about it, when that is known.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::NoCredentials(name) => Some(format!(
                "add LoadCredential={name}:/path/to/secret to the unit, or use {{ name = \"{name}\", file = \"…\" }}"
            )),
            Self::Owner(path) => Some(format!("chown root {}", path.display())),
            Self::Open(path) => Some(format!("chmod g-w,o= {}", path.display())),
            Self::NotAFile(_) | Self::Empty(_) | Self::TooLong(_) | Self::Io(..) => None,
        }
    }
}
