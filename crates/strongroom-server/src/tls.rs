//! TLS 1.2 and 1.3, with a certificate and its key in PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};
use crate::private_file;

/// The maximum size of a file with a certificate chain or a key.
const MAX_BYTES: u64 = 1 << 20;

/// The files with the certificate chain and the private key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl TlsFiles {
    /// Refers to the PEM files at these paths. Other users must not be able to read the key.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// - If a file cannot be read or is malformed.
    /// - If other users can access the key, or the key does not belong to the certificate.
    pub fn load(&self) -> Result<Arc<ServerConfig>> {
        let chain = std::fs::read(&self.certificate)
            .map_err(|error| Error::new(format!("cannot read {}", self.certificate.display())).with_source(error))?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| malformed(&self.certificate, "a certificate chain").with_source(error))?;
        if chain.is_empty() {
            return Err(malformed(&self.certificate, "a certificate chain"));
        }
        let key = zeroize::Zeroizing::new(private_file::read(&self.key, MAX_BYTES)?);
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| malformed(&self.key, "a private key").with_source(error))?;
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

fn malformed(path: &Path, expected: &str) -> Error {
    Error::new(format!("{} does not contain {expected} in PEM", path.display()))
}
