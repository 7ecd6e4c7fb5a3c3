//! The rejections of the default backend, according to its capability report. Only that of FIPS has any.

use strongroom::crypto::{CryptoBackend, CryptoError, REJECTED};
use strongroom::envelope::UnwrapFailures;
use strongroom::key::KeySpec;
use strongroom::message::{AlgorithmSuite, MessageError};
use strongroom::{Error, ErrorKind};

use crate::support::external_tools;

/// Returns `true` if the default backend rejects one of the parts, and reports the test as skipped.
pub(crate) fn lacks(test: &str, parts: &[&str]) -> bool {
    let rejected = parts.iter().find(|part| CryptoBackend::default().check_allowed(part).is_err());
    if let Some(part) = rejected {
        external_tools::not_run(test, &format!("the backend rejects {part}"));
    }
    rejected.is_some()
}

/// Returns `true` if the default backend has keys of a spec.
pub(crate) fn allows(spec: KeySpec) -> bool {
    let part = match spec {
        KeySpec::EccSecgP256k1 => "secp256k1",
        KeySpec::EccNistEdwards25519 => "Ed25519",
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => "ML-DSA",
        KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => "ML-KEM",
        _ => return true,
    };
    CryptoBackend::default().check_allowed(part).is_ok()
}

/// Returns `true` if the default backend has the cipher of a suite.
pub(crate) fn allows_suite(suite: AlgorithmSuite) -> bool {
    suite.data_key_length() != 24 || CryptoBackend::default().check_allowed("AES-192-GCM").is_ok()
}

/// Returns `true` if an operation failed because the default backend rejects an algorithm.
pub(crate) fn is_rejection(error: &Error) -> bool {
    let reported = |error: &CryptoError| match error {
        CryptoError::Rejected { algorithm, .. } => CryptoBackend::default().parts().contains(&(algorithm, REJECTED)),
        _ => false,
    };
    let failures: Option<&UnwrapFailures> = error.downcast_ref();
    let of_message = match error.downcast_ref() {
        Some(MessageError::Backend(error)) => reported(error),
        _ => false,
    };
    of_message
        || failures.is_some_and(|failures| failures.kind() == ErrorKind::UnsupportedOperation)
        || error.downcast_ref().is_some_and(reported)
}
