//! Small KMS instances for tests, and the kind of an error.

use std::sync::Arc;

use strongroom::key::KeyId;
use strongroom::request::CreateKeyRequest;
use strongroom::{Error, ErrorKind, Kms, ManualClock, Result, Timestamp};

use crate::support::any_store;

/// Returns a KMS with a manual clock.
pub(crate) fn with_clock() -> Result<(Kms, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_700_000_000_000)));
    Ok((any_store::builder().clock(Arc::clone(&clock)).clock_tolerance(std::time::Duration::MAX).build()?, clock))
}

/// Returns a KMS with one key.
pub(crate) fn with_key() -> Result<(Kms, KeyId)> {
    let kms = any_store::kms()?;
    let key_id = kms.create_key(CreateKeyRequest::default())?.key_id();
    Ok((kms, key_id))
}

/// Returns the kind of an error.
pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("the call must be rejected").kind()
}
