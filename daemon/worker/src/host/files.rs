//! `wasi:filesystem`: what a guest opens is a file or a directory.
//!
//! Opening a pipe waits until somebody opens its other end, and keeps a thread meanwhile that nothing gets back. All
//! runs share a few of those.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, ErrorCode, Host, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{FsError, FsResult};

use super::State;

/// As the library calls it. Were it another one, `open-at` would be the library's, and the tests fail.
const INTERFACE: &str = "wasi:filesystem/types@0.2.12";

/// What `open-at` is called with.
type Arguments = (
    Resource<Descriptor>,
    PathFlags,
    String,
    OpenFlags,
    DescriptorFlags,
);

/// Puts a look at what is there before the function that opens.
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
                let opened = match open(state, arguments).await {
                    Ok(descriptor) => Ok(descriptor),
                    Err(error) => Err(state.filesystem().convert_error_code(error)?),
                };
                Ok((opened,))
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn open(
    state: &mut State,
    (at, follow, path, how, flags): Arguments,
) -> FsResult<Resource<Descriptor>> {
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
    files.open_at(at, follow, path, how, flags).await
}
