//! Failures of the KMS as errors of Iceberg.

use std::error::Error as StdError;

use strongroom::{Error, ErrorKind};

/// Returns the error of strongroom that caused an error of Iceberg. Returns `None` if another failure
/// caused it.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use iceberg::encryption::KeyManagementClient;
/// use strongroom::{ErrorKind, Kms};
/// use strongroom_iceberg::{IcebergKms, error_inside};
///
/// let client = IcebergKms::new(&Kms::in_memory()?, [("table", "lake.orders")])?;
/// let refused = client.wrap_key(&[7; 16], "alias/missing").await.unwrap_err();
/// assert_eq!(error_inside(&refused).map(|cause| cause.kind()), Some(ErrorKind::NotFound));
/// assert!(!refused.retryable());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn error_inside<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Returns an error of Iceberg, whose source is that of strongroom. It is retryable if the same call
/// can succeed later without a change by an administrator.
pub(crate) fn of_kms(action: &'static str, error: Error) -> iceberg::Error {
    use ErrorKind::{
        AccessDenied, Audit, Conflict, Disabled, IncorrectKey, InvalidArn, InvalidCiphertext, InvalidKeyUsage,
        InvalidState, Io, KeyUnavailable, NotFound, Store, UnsupportedOperation, Validation,
    };
    let kind = match error.kind() {
        AccessDenied | Disabled | InvalidState | NotFound => iceberg::ErrorKind::PreconditionFailed,
        InvalidCiphertext | IncorrectKey | InvalidArn | Validation => iceberg::ErrorKind::DataInvalid,
        InvalidKeyUsage | UnsupportedOperation => iceberg::ErrorKind::FeatureUnsupported,
        _ => iceberg::ErrorKind::Unexpected,
    };
    let is_retryable = matches!(error.kind(), KeyUnavailable | Store | Audit | Conflict | Io);
    iceberg::Error::new(kind, action).with_retryable(is_retryable).with_source(error)
}
