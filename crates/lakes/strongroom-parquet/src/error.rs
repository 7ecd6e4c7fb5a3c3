//! Failures of the KMS inside the errors of Parquet.

use std::error::Error as StdError;

use strongroom::{Error, ErrorKind};

/// Returns the error of strongroom that caused an error of `parquet_key_management` or `parquet`.
/// Returns `None` if another failure caused it.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use parquet_key_management::crypto_factory::{CryptoFactory, EncryptionConfiguration};
/// use strongroom::{ErrorKind, Kms};
/// use strongroom_parquet::{ParquetKms, error_inside, is_retryable};
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?.key_id();
/// kms.disable_key(key)?;
/// let factory = CryptoFactory::new(ParquetKms::new(&kms, [("table", "orders")])?);
/// let configuration = EncryptionConfiguration::builder(key.to_string()).build()?;
///
/// let refused = factory.file_encryption_properties(Arc::default(), &configuration).unwrap_err();
/// let cause = error_inside(&refused).expect("the KMS refused");
/// assert_eq!(cause.kind(), ErrorKind::Disabled);
/// assert!(!is_retryable(cause));
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

/// Returns `true` if the same call can succeed later, without a change by an administrator: the key
/// material, the store or the audit trail is unreachable, or concurrent changes collided.
///
/// # Examples
/// ```
/// use strongroom::{Error, ErrorKind};
/// use strongroom_parquet::is_retryable;
///
/// assert!(is_retryable(&Error::new(ErrorKind::KeyUnavailable, "the token does not respond")));
/// assert!(!is_retryable(&Error::new(ErrorKind::IncorrectKey, "another key")));
/// ```
pub fn is_retryable(error: &Error) -> bool {
    use ErrorKind::{Audit, Conflict, Io, KeyUnavailable, Store};
    matches!(error.kind(), KeyUnavailable | Store | Audit | Conflict | Io)
}
