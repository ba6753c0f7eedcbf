//! From components to code: what is known, what is cached, and what a worker has to compile.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_protocol::{
    CODE_LIMIT, COMPILER_MEMORY, COMPILER_SECONDS, CompileFault, FromWorker, Load, LoadFault,
    Sealed, Subject, ToWorker,
};
use tracing::{info, warn};

use super::connection::ConnectionError;
use super::source::{Source, StartError, Worker};
use super::suspects::Death;
use crate::code::{self, Cache, CacheError, Code, Codes, ComponentFile, FileError, Plan};

/// How long one compilation may take, whatever else the machine does. The compiler itself has a
/// limit of processor time.
const LIMIT: Duration = Duration::from_secs(300);

/// A compiler that is lost sooner than this may have been ended by somebody, and is replaced once.
const ONCE_MORE: Duration = Duration::from_secs(60);

/// The code that could be had.
#[derive(Debug)]
pub(super) struct Obtained {
    /// The code.
    pub(super) codes: Codes,
    /// Why some could not.
    pub(super) faults: Vec<LoadFault>,
}

impl Source {
    /// Code for every plugin of a load, for a worker with this engine.
    ///
    /// # Errors
    /// [`StartError`] when there is no worker to compile with.
    pub(super) async fn obtain(
        &self,
        plan: &Plan,
        load: &Load,
        engine: &str,
        known: &Codes,
    ) -> Result<Obtained, StartError> {
        let mut codes = BTreeMap::new();
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for spec in &load.plugins {
            let digest = &spec.code;
            if !seen.insert(digest) {
                continue;
            }
            let known = known
                .by_digest
                .get(digest)
                .filter(|_| known.engine == engine);
            let code = match (known, plan.components.get(digest)) {
                (Some(code), _) => Ok(Arc::clone(code)),
                (None, Some(file)) => {
                    let wanted = Wanted {
                        plugin: &spec.name,
                        digest,
                        engine,
                    };
                    self.code_of(&wanted, file).await.map(Arc::new)
                }
                (None, None) => Err(Miss::fault(&spec.name, "its component is not known", None)),
            };
            match code {
                Ok(code) => {
                    codes.insert(digest.clone(), code);
                }
                Err(Miss::Fault(fault)) => faults.push(fault),
                Err(Miss::Worker(error)) => return Err(error),
            }
        }
        let engine = engine.to_owned();
        let codes = Codes {
            engine,
            by_digest: codes,
        };
        Ok(Obtained { codes, faults })
    }

    /// Code from the cache, or else from a compiler.
    async fn code_of(&self, wanted: &Wanted<'_>, file: &ComponentFile) -> Result<Code, Miss> {
        let (file, sha256) = (file.clone(), wanted.digest.to_owned());
        let component = blocking(move || code::read(&file, &sha256)).await?;
        let component = component.map_err(|error: FileError| {
            Miss::fault(wanted.plugin, &error.to_string(), error.help())
        })?;
        let component_size = component.length();
        let mut rejected = false;
        if let Some(cache) = &self.cache {
            match look_up(cache, wanted).await? {
                Some(Found::Good(sealed)) => {
                    return Ok(Code {
                        sealed,
                        component_size,
                        compiled_in: None,
                        rejected,
                        not_kept: None,
                    });
                }
                Some(Found::Rejected) => rejected = true,
                None => {}
            }
        }
        let (sealed, took) = self.compile(wanted, &component).await?;
        info!(
            plugin = wanted.plugin,
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "compiled"
        );
        let not_kept = match &self.cache {
            Some(cache) => keep(cache, wanted, &sealed).await?,
            None => None,
        };
        Ok(Code {
            sealed,
            component_size,
            compiled_in: Some(took),
            rejected,
            not_kept,
        })
    }

    /// Has a worker compile a component, which then ends.
    async fn compile(
        &self,
        wanted: &Wanted<'_>,
        component: &Sealed,
    ) -> Result<(Sealed, Duration), Miss> {
        // Never closed.
        let _turn = self.compiling.acquire().await;
        let begin = Instant::now();
        let mut again = false;
        loop {
            let mut compiler = self.connect().await?;
            if compiler.hello.engine != wanted.engine {
                return Err(Miss::Worker(StartError::OtherEngine));
            }
            let left = LIMIT.saturating_sub(begin.elapsed());
            let answer = compiler.compiled(wanted.plugin, component);
            match tokio::time::timeout(left, answer).await {
                Ok(Ok(Compiled {
                    fault: Some(CompileFault { message, help }),
                    ..
                })) => return Err(Miss::fault(wanted.plugin, &message, help)),
                Ok(Ok(Compiled {
                    code: Some(code),
                    took,
                    ..
                })) => {
                    let sealed = Sealed::try_from(code);
                    let code = sealed
                        .map_err(|error| Miss::fault(wanted.plugin, &error.to_string(), None))?;
                    if code.length() > CODE_LIMIT {
                        return Err(Miss::bomb(wanted.plugin));
                    }
                    return Ok((code, took));
                }
                Ok(Ok(_)) => return Err(Miss::Worker(ConnectionError::Unexpected.into())),
                Ok(Err(error)) => match compiler.end().await {
                    // By somebody, or for want of memory: the component may be as good as any.
                    Death::Killed => return Err(Miss::Worker(error.into())),
                    // A unit doesn't tell. What a component does to one, it does to the next.
                    Death::Unknown if !again && begin.elapsed() < ONCE_MORE => again = true,
                    Death::Crashed | Death::Hung | Death::Unknown => {
                        return Err(Miss::bomb(wanted.plugin));
                    }
                },
                Err(_) => return Err(Miss::bomb(wanted.plugin)),
            }
        }
    }
}

/// What a compiler answers.
struct Compiled {
    took: Duration,
    fault: Option<CompileFault>,
    code: Option<OwnedFd>,
}

impl Worker {
    async fn compiled(
        &mut self,
        plugin: &str,
        component: &Sealed,
    ) -> Result<Compiled, ConnectionError> {
        let plugin = plugin.to_owned();
        let request = ToWorker::Compile { plugin };
        self.connection
            .send_with(&request, component.try_clone()?)?;
        match self.connection.next().await? {
            FromWorker::Compiled { took_us, fault } => Ok(Compiled {
                took: Duration::from_micros(took_us),
                fault,
                code: self.connection.carried(),
            }),
            _ => Err(ConnectionError::Unexpected),
        }
    }
}

/// Code that is looked for.
struct Wanted<'a> {
    plugin: &'a str,
    digest: &'a str,
    engine: &'a str,
}

/// Why there is no code.
#[derive(Debug)]
enum Miss {
    /// Something is wrong with the component.
    Fault(LoadFault),
    /// There is no worker to compile with.
    Worker(StartError),
}

impl Miss {
    fn fault(plugin: &str, message: &str, help: Option<String>) -> Self {
        Self::Fault(LoadFault {
            plugin: plugin.to_owned(),
            subject: Subject::Load,
            pointer: None,
            message: message.to_owned(),
            help,
        })
    }

    fn bomb(plugin: &str) -> Self {
        let message = format!(
            "cannot be compiled: it takes more than the compile limit of {COMPILER_SECONDS} s of \
             processor time, {} MiB of memory and {} MiB of code, or ends the compiler",
            COMPILER_MEMORY >> 20,
            CODE_LIMIT >> 20
        );
        let help = "build it without what makes it large".to_owned();
        Self::fault(plugin, &message, Some(help))
    }
}

impl From<StartError> for Miss {
    fn from(error: StartError) -> Self {
        Self::Worker(error)
    }
}

/// What the cache has; anything doubtful is said and left for the compiler.
async fn look_up(cache: &Arc<Cache>, wanted: &Wanted<'_>) -> Result<Option<Found>, StartError> {
    let found = in_cache(cache, wanted, |cache, digest, engine| {
        cache.find(digest, engine)
    })
    .await?;
    Ok(match found {
        Ok(found) => found.map(Found::Good),
        Err(error) => {
            let plugin = wanted.plugin;
            warn!(
                plugin,
                "code in the cache is not used, and compiled again: {error}"
            );
            Some(Found::Rejected)
        }
    })
}

/// What the cache has.
enum Found {
    Good(Sealed),
    Rejected,
}

/// Puts code into the cache. Answers why that was not possible.
async fn keep(
    cache: &Arc<Cache>,
    wanted: &Wanted<'_>,
    code: &Sealed,
) -> Result<Option<String>, StartError> {
    let code = code.try_clone().map_err(ConnectionError::from)?;
    let kept = in_cache(cache, wanted, move |cache, digest, engine| {
        cache.keep(digest, engine, &code)
    });
    Ok(kept.await?.err().map(|error| {
        let plugin = wanted.plugin;
        warn!(plugin, "the next start compiles it again: {error}");
        error.to_string()
    }))
}

async fn in_cache<T: Send + 'static>(
    cache: &Arc<Cache>,
    wanted: &Wanted<'_>,
    what: impl FnOnce(&Cache, &str, &str) -> Result<T, CacheError> + Send + 'static,
) -> Result<Result<T, CacheError>, StartError> {
    let cache = Arc::clone(cache);
    let (digest, engine) = (wanted.digest.to_owned(), wanted.engine.to_owned());
    blocking(move || what(&cache, &digest, &engine)).await
}

/// Files are read and written on a thread of their own: a disk may be slow.
async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    let done = tokio::task::spawn_blocking(what).await;
    done.map_err(|error| ConnectionError::Io(std::io::Error::other(error)).into())
}
