//! TLS to a database.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use strongroom::TrustedUsers;
use strongroom::seal::PrivateFile;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, Result};
use crate::tls::{certificates, private_key};

/// Returns a connector that accepts a server if one of the authorities in the file has signed its
/// certificate, and the certificate has its name. It presents a certificate and key of a client if
/// they are given.
pub(super) fn connector(
    authorities: &Path,
    client: Option<(&Path, &Path)>,
    trusted: TrustedUsers,
) -> Result<MakeRustlsConnect> {
    let unusable = |path: &Path, error| {
        Error::new(format!("cannot use the certificates in {}", path.display())).with_source(error)
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|error| unusable(authorities, error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(authorities, error))?
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = private_key(&PrivateFile::new(key).trusted_users(trusted))?;
            let chain = certificates(certificate)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(certificate, error))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}
