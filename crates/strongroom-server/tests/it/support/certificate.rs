//! Certificates of OpenSSL.

use std::path::Path;
use std::process::Command;

/// Creates a certificate for the loopback address, and returns the paths of the certificate and its
/// key.
pub(crate) fn create(directory: &Path, name: &str) -> (String, String) {
    let path = |suffix: &str| directory.join(format!("{name}{suffix}")).to_str().unwrap().to_owned();
    let (certificate, key) = (path(".pem"), path("-key.pem"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=strongroom", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (certificate, key)
}
