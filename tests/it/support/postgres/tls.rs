//! A server that accepts only TLS, and the certificates for it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::installation;
use super::server::Server;
use super::{Result, SUPERUSER};
use crate::support::openssl::OpenSsl;

/// OpenSSL's configuration of the certificates. That of the server is valid for `localhost` only.
const CONFIGURATION: &str = "
[req]
prompt = no
distinguished_name = name
[name]
CN = strongroom test
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost
";

/// A certificate in PEM, signed by an authority that signs nothing else.
pub(crate) struct Certificate {
    pub(crate) authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Creates an authority and a certificate with new keys. Returns `None` if OpenSSL is missing.
    pub(crate) fn create(test: &str) -> Option<Self> {
        let openssl = OpenSsl::start(test)?;
        openssl.write("configuration", CONFIGURATION.as_bytes());
        let new_key = "-config configuration -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl.shell(&format!(
            "openssl req -x509 -extensions authority -days 2 {new_key} -keyout ca.key -out ca.pem; \
             openssl req -new {new_key} -keyout server.key -out request.pem; \
             openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
               -extfile configuration -extensions server -out server.pem"
        ));
        let read = |name| openssl.read(name);
        Some(Self { authority: read("ca.pem"), certificate: read("server.pem"), key: read("server.key") })
    }
}

impl Server {
    /// Starts a server that accepts TLS only, with passwords for everyone but the superuser.
    pub(crate) fn start_with_tls(certificate: &Certificate) -> Result<Self> {
        let server = Self::create(&[])?;
        let rules = format!(
            "hostssl all {SUPERUSER} 127.0.0.1/32 trust\n\
             hostssl all all 127.0.0.1/32 scram-sha-256\n"
        );
        let files = [
            ("ssl_cert_file", "server.pem", &certificate.certificate[..]),
            ("ssl_key_file", "server.key", &certificate.key),
            ("hba_file", "rules", rules.as_bytes()),
        ];
        for (setting, name, content) in files {
            let path = server.folder().join(name);
            fs::write(&path, content)?;
            // PostgreSQL refuses a key that others can read.
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            installation::found()?.give(&path)?;
            server.configure(&[(setting, path.to_str().ok_or("the folder has a name in UTF-8")?)])?;
        }
        server.configure(&[("ssl", "on"), ("log_connections", "on")])?;
        server.start_again()?;
        Ok(server)
    }
}
