//! `mainstay plugin compile`: fills the cache at deploy time, so that no start has to compile.

use std::path::Path;
use std::process::ExitCode;

use bytesize::ByteSize;

use super::text::columns;
use super::{Failure, print};
use crate::code::{Cache, Code, Codes, Plan};
use crate::config::{self, Problem};
use crate::exit;
use crate::worker::{LoadError, Source, compile_once};

/// Compiles every plugin of a configuration that is not in the cache yet.
pub(crate) fn compile(
    worker: Source,
    file: &Path,
    reading: &config::Options,
    (cache_dir, state_dir): (&Path, &Path),
) -> Result<ExitCode, Failure> {
    let config = config::load(file, reading).map_err(Failure::of_problems)?;
    if config.plan.load.plugins.is_empty() {
        return print(&format!("{}: there are no plugins\n", file.display()));
    }
    let cache = Cache::keeping(cache_dir, state_dir)
        .map_err(|error| Failure::new(exit::NOT_PERMITTED, format!("no cache: {error}")))?;
    let codes = compile_once(&worker.with_cache(cache), &config.plan);
    let codes = codes.map_err(|error| match error {
        LoadError::Faults(faults) => {
            let problems: Vec<Problem> = faults.iter().map(|fault| config.locate(fault)).collect();
            Failure::of_problems(problems)
        }
        LoadError::Start(error) => Failure::new(
            exit::UNAVAILABLE,
            format!("nothing was compiled, since the plugin worker failed: {error}"),
        ),
    })?;
    let not_kept = codes.by_digest.values();
    let not_kept: Vec<String> = not_kept
        .filter_map(|code| code.not_kept.as_ref())
        .map(|error| format!("compiled, but not kept: {error}"))
        .collect();
    if !not_kept.is_empty() {
        return Err(Failure {
            code: exit::IO,
            lines: not_kept,
        });
    }
    print(&render(&config.plan, &codes))
}

fn render(plan: &Plan, codes: &Codes) -> String {
    let rows: Vec<Vec<String>> = codes
        .by_digest
        .iter()
        .filter_map(|(digest, code)| {
            let file = plan.components.get(digest)?;
            Some(vec![
                file.path.display().to_string(),
                ByteSize(code.component_size).to_string(),
                how(code),
            ])
        })
        .collect();
    columns(&rows)
}

fn how(code: &Code) -> String {
    match code.compiled_in {
        Some(took) => format!("compiled in {:.1} s", took.as_secs_f64()),
        None => "compiled before".to_owned(),
    }
}
