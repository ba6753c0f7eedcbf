//! `include`: further files, named by patterns.

use std::path::{Path, PathBuf};

use super::source::Source;
use super::value::Value;

/// Files that may be included, at most.
const MOST: usize = 1000;

/// Reads the files that the patterns name, in the order of the patterns and of their names. A
/// pattern without a match is no fault; a path without a wildcard has to be there.
pub(super) fn read(value: &Value<'_>) -> Vec<Source> {
    let mut paths = Vec::new();
    for pattern in value.elements().unwrap_or_default() {
        let spot = pattern.spot.clone();
        paths.extend(
            matches(&pattern)
                .into_iter()
                .map(|path| (path, spot.clone())),
        );
    }
    paths.dedup_by(|(next, _), (path, _)| next == path);
    if paths.len() > MOST {
        value.spot.error(
            format!("{} files are too many to include", paths.len()),
            Some(format!("{MOST} at most")),
        );
        return Vec::new();
    }
    let mut sources = Vec::new();
    for (path, spot) in paths {
        match Source::read(&path) {
            Ok(source) => sources.push(source),
            Err(problem) => spot.error(
                format!("{} {}", path.display(), problem.message),
                problem.help,
            ),
        }
    }
    sources
}

fn matches(value: &Value<'_>) -> Vec<PathBuf> {
    let Some(text) = value.text() else {
        return Vec::new();
    };
    // Only what the operator wrote is a pattern, not the directory that it starts from.
    let directory = glob::Pattern::escape(&value.spot.directory().to_string_lossy());
    let pattern = Path::new(&directory).join(text);
    match glob::glob(&pattern.to_string_lossy()) {
        Ok(paths) if text.contains(['*', '?', '[']) => paths.filter_map(Result::ok).collect(),
        Ok(_) => value.path().into_iter().collect(),
        Err(error) => {
            value
                .spot
                .error(format!("this is no pattern: {error}"), None);
            Vec::new()
        }
    }
}
