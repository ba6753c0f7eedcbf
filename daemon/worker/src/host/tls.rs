//! TLS for host functions: one client configuration for each call, since each may trust somebody else.
//!
//! ```text
//! let client = shared.tls.client(&options)?;                 what the plugin asked for makes sense
//! let (stream, info) = client.handshake(tcp).await?;         the caller bounds the time
//! ```
//!
//! Whether a plugin may go without verification is for the caller to check, before: `options.verify`. Nothing is
//! resumed, so that each handshake shows what the peer has now.

mod accepting;
mod authorities;
mod info;

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bindings::network::{TlsInfo, TlsOptions};
use accepting::Accepting;
pub(crate) use authorities::SystemAuthorities;

/// Application protocols that are offered, at most.
const PROTOCOLS: usize = 8;
/// The longest name of one, which its length byte sets.
const PROTOCOL: usize = 255;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    system: SystemAuthorities,
}

/// Ready for handshakes with one name.
#[derive(Debug)]
pub(crate) struct Client {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    /// Knows why a certificate would not have been accepted, when all are.
    accepting: Option<Arc<Accepting>>,
}

impl Tls {
    /// Trusts these unless it is told otherwise.
    #[must_use]
    pub(crate) fn new(system: SystemAuthorities) -> Self {
        Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            system,
        }
    }

    /// A client that does as the options say.
    ///
    /// # Errors
    /// [`TlsError::Invalid`] for options that make no sense, [`TlsError::Failed`] when there are no authorities.
    pub(crate) fn client(&self, options: &TlsOptions) -> Result<Client, TlsError> {
        if let Some(attribute) = options.attributes.first() {
            return Err(invalid(format!("there is no TLS option {}", attribute.key)));
        }
        let name = ServerName::try_from(options.server_name.clone());
        let name = name.map_err(|_| invalid(format!("{} is no name", options.server_name)))?;
        let roots = match &options.authorities {
            Some(pem) => authorities::read(pem).map_err(TlsError::Invalid),
            None => self.system.roots().map_err(TlsError::Failed),
        };
        let judge = roots.and_then(|roots| {
            let provider = self.provider.clone();
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            verifier.map_err(|error| TlsError::Failed(error.to_string()))
        });
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Failed(error.to_string()))?
            .dangerous();
        let (config, accepting) = if options.verify {
            (config.with_custom_certificate_verifier(judge?), None)
        } else {
            let judge = match judge {
                Err(TlsError::Invalid(why)) => return Err(TlsError::Invalid(why)),
                judge => judge.map_err(|error| error.to_string()),
            };
            let accepting = Arc::new(Accepting::new(judge, &self.provider));
            let verifier = accepting.clone();
            (
                config.with_custom_certificate_verifier(verifier),
                Some(accepting),
            )
        };
        let mut config = config.with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocols(&options.alpn)?;
        Ok(Client {
            name,
            config: Arc::new(config),
            accepting,
        })
    }
}

impl Client {
    /// Shakes hands over a stream, and says with whom.
    ///
    /// # Errors
    /// [`TlsError::Failed`], whatever happened: on a stream that was open before, it is the handshake that failed.
    pub(crate) async fn handshake<S>(&self, stream: S) -> Result<(TlsStream<S>, TlsInfo), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(self.config.clone());
        let stream = connector.connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|error| TlsError::Failed(words(&error)))?;
        let rejected = self.accepting.as_ref().and_then(|a| a.rejected());
        let info = info::of(stream.get_ref().1, rejected).map_err(TlsError::Failed)?;
        Ok((stream, info))
    }
}

fn protocols(names: &[String]) -> Result<Vec<Vec<u8>>, TlsError> {
    if names.len() > PROTOCOLS {
        return Err(invalid(format!("more than {PROTOCOLS} protocols")));
    }
    let names = names.iter().map(|name| match name.len() {
        1..=PROTOCOL => Ok(name.clone().into_bytes()),
        _ => Err(invalid(format!(
            "a protocol's name has 1 to {PROTOCOL} bytes"
        ))),
    });
    names.collect()
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "the peer closed the connection".to_owned()
        }
        _ => error.to_string(),
    }
}

fn invalid(why: String) -> TlsError {
    TlsError::Invalid(why)
}

/// Why there is no TLS. The texts may hold what the peer or the plugin made up: one line of them is made elsewhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The options make no sense.
    #[error("{0}")]
    Invalid(String),
    /// The handshake failed, or the certificate was not accepted.
    #[error("{0}")]
    Failed(String),
}

#[cfg(test)]
mod tests;
