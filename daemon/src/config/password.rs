//! A secret: in the file itself, in another file, or a systemd credential.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use mainstay_core::settings::Password;
use toml::de::DeValue;

use super::router::Surroundings;
use super::value::Value;

/// How much of a file with a secret is read, in bytes.
const LIMIT: u64 = 4096;

/// Reads `"1234"`, `{ file = "/path" }` or `{ credential = "name" }`. The secret never appears in a
/// problem.
pub(super) fn read(value: &Value<'_>, surroundings: &Surroundings<'_>) -> Option<Password> {
    let text = match value.content() {
        DeValue::String(text) => {
            if value.spot.readable_by_others() {
                value.spot.warn(
                    "any user of this machine can read this password",
                    Some("take that right away with chmod o-r, or use { file = \"…\" }".to_owned()),
                );
            }
            text.to_string()
        }
        DeValue::Table(_) => stored(value, surroundings)?,
        _ => {
            value.wrong_type("\"…\", { file = \"…\" } or { credential = \"…\" }");
            return None;
        }
    };
    let password = Password::new(&text);
    if password.is_none() {
        value.spot.error(
            format!("a password of {} bytes does not fit", text.len()),
            Some("version 2 carries 1 to 8 bytes".to_owned()),
        );
    }
    password
}

fn stored(value: &Value<'_>, surroundings: &Surroundings<'_>) -> Option<String> {
    let mut table = value.table()?;
    let file = table.take("file");
    let credential = table.take("credential");
    table.finish();
    let (spot, path) = match (file, credential) {
        (Some(file), None) => (file.spot.clone(), file.path()?),
        (None, Some(credential)) => (
            credential.spot.clone(),
            credential_path(&credential, surroundings.credentials)?,
        ),
        _ => {
            value
                .spot
                .error("one of \"file\" and \"credential\" has to be given", None);
            return None;
        }
    };
    if let Some((message, help)) = surroundings.readers.obstacle(&path) {
        spot.warn(message, Some(help));
    }
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    match read {
        Ok(_) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            spot.error(format!("{} cannot be read: {error}", path.display()), None);
            None
        }
    }
}

fn credential_path(value: &Value<'_>, credentials: Option<&Path>) -> Option<PathBuf> {
    let name = value.name()?;
    let Some(directory) = credentials else {
        value.spot.error(
            "systemd passed no credentials",
            Some(format!(
                "add LoadCredential={name}:/path/to/secret to the unit, or use {{ file = \"…\" }}"
            )),
        );
        return None;
    };
    Some(directory.join(name))
}
