//! `wasi:filesystem`: what a guest opens is a file or a directory, and only so many of them, and what it lists is short.
//!
//! Opening a pipe waits until somebody opens its other end, and keeps a thread meanwhile that nothing gets back. All
//! runs share a few of those, and the descriptors. A listing is in the worker's memory as a whole.

use std::fs::File;
use std::sync::{Arc, Weak};

use rustix::fs::Dir;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, DirectoryEntryStream, ErrorCode, Host, HostDescriptor,
    OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{FsError, FsResult};

use super::State;
use super::slots::Slot;

/// As the library calls it. Were it another one, the functions would be the library's, and the tests fail.
const INTERFACE: &str = "wasi:filesystem/types@0.2.12";
/// Files and directories that a run has open at the same time, at most.
const FILES: usize = 16;
/// Listings of directories that it has at the same time, at most.
const LISTINGS: usize = 4;
/// Names in one listing, at most.
const NAMES: usize = 4096;

/// What `open-at` is called with.
type Arguments = (
    Resource<Descriptor>,
    PathFlags,
    String,
    OpenFlags,
    DescriptorFlags,
);

/// What a run has opened.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// Open for as long as anything has it, a stream for one.
    files: Vec<(Weak<File>, Slot)>,
    /// Where they are among the run's resources.
    listings: Vec<u32>,
}

impl OpenFiles {
    /// How many files and listings are still there. The places of the others are free again.
    pub(super) fn count(&mut self, resources: &ResourceTable) -> usize {
        self.files.retain(|(file, _)| file.strong_count() > 0);
        self.listings.retain(|at| {
            let listing = Resource::<DirectoryEntryStream>::new_borrow(*at);
            resources.get(&listing).is_ok()
        });
        self.files.len() + self.listings.len()
    }
}

/// Puts a look at what is there before the functions that open and list.
///
/// # Errors
/// None, unless WASI is not linked yet.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(INTERFACE)?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        |mut store, arguments: Arguments| {
            Box::new(async move {
                let state = store.data_mut();
                let opened = open(state, arguments).await;
                Ok((answer(state, opened)?,))
            })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.read-directory",
        |mut store, (directory,): (Resource<Descriptor>,)| {
            Box::new(async move {
                let state = store.data_mut();
                let listing = list(state, directory).await;
                Ok((answer(state, listing)?,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// As the guest gets it.
fn answer<T>(state: &mut State, result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(state.filesystem().convert_error_code(error)?)),
    }
}

async fn open(
    state: &mut State,
    (at, follow, path, how, flags): Arguments,
) -> FsResult<Resource<Descriptor>> {
    let slot = slot(state)?;
    let mut files = state.filesystem();
    // What is opened as a directory is one, or is not opened.
    if !how.contains(OpenFlags::DIRECTORY) {
        let this = Resource::new_borrow(at.rep());
        let there = files.stat_at(this, follow, path.clone()).await?;
        if !matches!(
            there.type_,
            DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink
        ) {
            return Err(FsError::from(ErrorCode::NotPermitted));
        }
    }
    let opened = files.open_at(at, follow, path, how, flags).await?;
    let file = match state.wasi.resources.get(&opened)? {
        Descriptor::File(file) => Arc::downgrade(&file.file),
        Descriptor::Dir(directory) => Arc::downgrade(&directory.dir),
    };
    state.opened_files.files.push((file, slot));
    Ok(opened)
}

/// A place among the open files of this run, and of all. WASI has no error of its own for this.
fn slot(state: &mut State) -> Result<Slot, ErrorCode> {
    state.opened_files.count(&state.wasi.resources);
    if state.opened_files.files.len() >= FILES {
        return Err(ErrorCode::InsufficientMemory);
    }
    let slot = state.shared.files.take(&state.grants.plugin);
    slot.ok_or(ErrorCode::InsufficientMemory)
}

async fn list(
    state: &mut State,
    directory: Resource<Descriptor>,
) -> FsResult<Resource<DirectoryEntryStream>> {
    state.opened_files.count(&state.wasi.resources);
    if state.opened_files.listings.len() >= LISTINGS {
        return Err(FsError::from(ErrorCode::InsufficientMemory));
    }
    let Descriptor::Dir(opened) = state.wasi.resources.get(&directory)? else {
        return Err(FsError::from(ErrorCode::NotDirectory));
    };
    let opened = opened.dir.clone();
    let short = tokio::task::spawn_blocking(move || is_short(&opened)).await;
    if !short.map_err(FsError::trap)?? {
        return Err(FsError::from(ErrorCode::FileTooLarge));
    }
    let listing = state.filesystem().read_directory(directory).await?;
    state.opened_files.listings.push(listing.rep());
    Ok(listing)
}

/// Whether a directory has no more names than a listing may have.
fn is_short(directory: &File) -> std::io::Result<bool> {
    // Beside those of itself and of what it is in.
    let names = Dir::read_from(directory)?.take(NAMES + 3).count();
    Ok(names <= NAMES + 2)
}
