//! The loop that retries a change after a conflict.

use std::thread;

use crate::error::Error;
use crate::metrics::{Metric, Metrics};
use crate::store::CommitError;

/// Maximum number of attempts. Each conflict means that another change succeeded. This many in a
/// row on one record mean that the record changes incessantly.
const MAX_COMMIT_ATTEMPTS: u32 = 256;

/// Runs an attempt until it returns a value. `None` requests another attempt because it conflicted
/// with another change. If every attempt conflicts, returns the result of `exhausted`.
///
/// # Errors
/// - The errors of the attempt, and of `exhausted`.
pub(in crate::kms) fn commit_with_retry<T, E>(
    exhausted: impl FnOnce() -> Result<T, E>,
    mut attempt: impl FnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    for _ in 0..MAX_COMMIT_ATTEMPTS {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        thread::yield_now();
    }
    exhausted()
}

/// Like [`commit_with_retry`], and counts the repeated attempts. For changes of callers and due
/// changes.
///
/// # Errors
/// - The errors of the attempt.
pub(in crate::kms) fn commit_with_counted_retry<T, E>(
    metrics: &Metrics,
    exhausted: impl FnOnce() -> Result<T, E>,
    mut attempt: impl FnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    let mut is_repeated = false;
    commit_with_retry(exhausted, || {
        if is_repeated {
            metrics.count(Metric::ChangeRetries, &[]);
        }
        is_repeated = true;
        attempt()
    })
}

/// Converts the result of a commit for [`commit_with_retry`]: a conflict requests another attempt.
///
/// # Errors
/// - Any failure of the commit other than a conflict.
pub(in crate::kms) fn retriable<T>(committed: Result<T, CommitError>) -> Result<Option<T>, Error> {
    match committed {
        Ok(value) => Ok(Some(value)),
        Err(CommitError::Conflict(_)) => Ok(None),
        Err(CommitError::Failed(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Result};
    use crate::kms::records::store_record_id;

    #[test]
    fn an_attempt_is_repeated_after_conflicts_alone() {
        fn lost<T>() -> Result<T> {
            Err(Error::new(ErrorKind::Conflict, "lost"))
        }
        let mut attempts = 0;
        let done = commit_with_retry(lost, || {
            attempts += 1;
            retriable(if attempts < 3 { Err(CommitError::Conflict(store_record_id(b"x"))) } else { Ok(attempts) })
        });
        assert_eq!(done.ok(), Some(3));
        let mut attempts = 0;
        let failed: Result<()> = commit_with_retry(lost, || {
            attempts += 1;
            retriable(Err(CommitError::Failed(Error::new(ErrorKind::Store, "broken"))))
        });
        assert_eq!((failed.map_err(|error| error.kind()), attempts), (Err(ErrorKind::Store), 1));
    }

    #[test]
    fn endless_conflicts_end() {
        let mut attempts = 0;
        let failed: Result<()> = commit_with_retry(
            || Err(Error::new(ErrorKind::Conflict, "lost")),
            || {
                attempts += 1;
                Ok(None)
            },
        );
        assert_eq!((failed.map_err(|error| error.kind()), attempts), (Err(ErrorKind::Conflict), MAX_COMMIT_ATTEMPTS));
    }
}
