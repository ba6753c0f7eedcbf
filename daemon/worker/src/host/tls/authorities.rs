//! Whom to trust.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Bytes of a plugin's own authorities, at most.
pub(super) const OWN: usize = 64 << 10;
/// Bytes of the system's, at most. Debian's 140 have 220 KiB.
const SYSTEM: u64 = 8 << 20;

/// The authorities that this system trusts.
///
/// The confinement leaves no way to their file, so it is opened before. It is read when somebody first needs it: few
/// plugins do, and to parse it takes milliseconds.
#[derive(Debug, Default)]
pub(crate) struct SystemAuthorities {
    file: Option<File>,
    roots: OnceLock<Result<Arc<RootCertStore>, String>>,
}

impl SystemAuthorities {
    /// Opens the file that the system's libraries read, if there is one.
    #[must_use]
    pub(crate) fn open() -> Self {
        let path = openssl_probe::probe().cert_file;
        Self {
            file: path.and_then(|path| File::open(path).ok()),
            roots: OnceLock::new(),
        }
    }

    /// All that can be read.
    ///
    /// # Errors
    /// In words, when there are none.
    pub(super) fn roots(&self) -> Result<Arc<RootCertStore>, String> {
        self.roots.get_or_init(|| self.read()).clone()
    }

    fn read(&self) -> Result<Arc<RootCertStore>, String> {
        let nothing = "this machine has no file of certificate authorities";
        let file = self.file.as_ref().ok_or(nothing)?;
        let reader = FromStart { file, at: 0 }.take(SYSTEM);
        let certificates = CertificateDer::pem_reader_iter(reader).filter_map(Result::ok);
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(certificates);
        match usable {
            0 => Err(nothing.to_owned()),
            _ => Ok(Arc::new(roots)),
        }
    }
}

/// A plugin's own.
///
/// # Errors
/// In words, for what is too much or no certificate.
pub(super) fn read(pem: &[u8]) -> Result<Arc<RootCertStore>, String> {
    if pem.len() > OWN {
        return Err(format!("more than {OWN} bytes of authorities"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the authorities: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("the authorities: {error}"))?;
    }
    match roots.is_empty() {
        true => Err("the authorities hold no certificate".to_owned()),
        false => Ok(Arc::new(roots)),
    }
}

/// Reads a file from its start, wherever others have read to.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
