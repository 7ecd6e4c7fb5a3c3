//! TLS 1.2 and 1.3, with a certificate and its key in PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use strongroom::TrustedUsers;
use strongroom::seal::PrivateFile;

use crate::error::{Error, Result};

/// The maximum size of a file with a key.
const MAX_BYTES: usize = 1 << 20;

/// The files with the certificate chain and the private key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    trusted_users: TrustedUsers,
}

impl TlsFiles {
    /// Refers to the PEM files at these paths. Other users must not be able to read the key.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), trusted_users: TrustedUsers::default() }
    }

    /// Sets the users that may be able to read the key.
    #[must_use]
    pub fn trusted_users(mut self, trusted: TrustedUsers) -> Self {
        self.trusted_users = trusted;
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// - If a file cannot be read or is malformed.
    /// - If other users can access the key, or the key does not belong to the certificate.
    pub fn load(&self) -> Result<Arc<ServerConfig>> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&PrivateFile::new(&self.key).trusted_users(self.trusted_users))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| {
                let text = format!("cannot use the certificate {}", self.certificate.display());
                Error::new(text).with_source(error)
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Reads at least one certificate from a file in PEM.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path)
        .map_err(|error| Error::new(format!("cannot read {}", path.display())).with_source(error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| malformed(path, "certificates").with_source(error))?;
    if chain.is_empty() { Err(malformed(path, "certificates")) } else { Ok(chain) }
}

/// Reads a private key from a file in PEM.
pub(crate) fn private_key(file: &PrivateFile) -> Result<PrivateKeyDer<'static>> {
    let pem = file
        .read(MAX_BYTES)
        .map_err(|error| Error::new(format!("cannot read {}", file.path().display())).with_source(error))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| malformed(file.path(), "a private key").with_source(error))
}

fn malformed(path: &Path, expected: &str) -> Error {
    Error::new(format!("{} does not contain {expected} in PEM", path.display()))
}
