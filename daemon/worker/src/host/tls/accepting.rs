//! Accepts every certificate, and remembers what was wrong with it.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::tally::lock;

/// For one client: whoever asked for no verification still learns its outcome.
#[derive(Debug)]
pub(super) struct Accepting {
    /// Who would decide; or why nobody can.
    judge: Result<Arc<WebPkiServerVerifier>, String>,
    schemes: Vec<SignatureScheme>,
    rejected: Mutex<Option<String>>,
}

impl Accepting {
    pub(super) fn new(
        judge: Result<Arc<WebPkiServerVerifier>, String>,
        provider: &CryptoProvider,
    ) -> Self {
        let algorithms = provider.signature_verification_algorithms;
        Self {
            judge,
            schemes: algorithms.supported_schemes(),
            rejected: Mutex::default(),
        }
    }

    /// The first thing that was wrong with the last certificate.
    pub(super) fn rejected(&self) -> Option<String> {
        lock(&self.rejected).clone()
    }

    fn note<T>(&self, judgement: Result<T, impl Display>) {
        if let Err(error) = judgement {
            lock(&self.rejected).get_or_insert_with(|| error.to_string());
        }
    }
}

impl ServerCertVerifier for Accepting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *lock(&self.rejected) = None;
        match &self.judge {
            Ok(judge) => {
                self.note(judge.verify_server_cert(end_entity, intermediates, name, ocsp, now));
            }
            Err(why) => self.note(Err::<(), _>(why)),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Ok(judge) = &self.judge {
            self.note(judge.verify_tls12_signature(message, certificate, signature));
        }
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if let Ok(judge) = &self.judge {
            self.note(judge.verify_tls13_signature(message, certificate, signature));
        }
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
