//! `secrets`: what the daemon has read for this plugin.

use mainstay_protocol::SecretBytes;
use wasmtime::component::Resource;

use super::State;
use crate::bindings::secrets::{Error, Host, HostSecret};
use crate::grant_line;

/// A secret that a guest holds. It does not print.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings export it")]
pub struct Secret(SecretBytes);

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Resource<Secret>, Error>> {
        let _call = self.tally.call("secrets.get");
        let granted = &self.grants.spec.secrets;
        if !granted.iter().any(|grant| grant.name == name) {
            let shown = self.shown(&name, 64);
            self.tally.deny(
                format!("secrets.get {shown}"),
                grant_line::secrets(granted, &shown),
            );
            return Ok(Err(Error::NotPermitted));
        }
        match self.grants.secrets.find(&name) {
            Some(value) => Ok(Ok(self.wasi.resources.push(Secret(value.clone()))?)),
            None => Ok(Err(Error::NotFound)),
        }
    }
}

impl HostSecret for State {
    async fn reveal(&mut self, secret: Resource<Secret>) -> wasmtime::Result<Vec<u8>> {
        let _call = self.tally.call("secrets.reveal");
        Ok(self.wasi.resources.get(&secret)?.0.reveal().to_vec())
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.wasi.resources.delete(secret)?;
        Ok(())
    }
}
