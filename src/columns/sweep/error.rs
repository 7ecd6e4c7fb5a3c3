//! Reasons why a sweep stops.

use crate::error::Error;

/// The reason why a sweep stopped before the end. Batches before the failure are committed, and the
/// last report contains the position after which to continue.
///
/// # Examples
/// ```
/// use strongroom::columns::SweepError;
///
/// let stopped: SweepError<std::io::Error> = SweepError::Order;
/// assert_eq!(stopped.to_string(), "the table returned rows that are not after the requested position");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError<E> {
    /// The database failed.
    #[error("the table cannot be read or written")]
    Table(#[source] E),
    /// The KMS failed, for example because its store or the audit trail is unavailable. A row that
    /// cannot be decrypted does not stop a sweep.
    #[error(transparent)]
    Kms(#[from] Error),
    /// The table returned a row twice, so the sweep would never end.
    #[error("the table returned rows that are not after the requested position")]
    Order,
    /// Two rows have the same primary key, or one has none. The sweep would omit rows, and their values
    /// could be exchanged.
    #[error("the primary key of the table contains NULL, or the same value twice")]
    Key,
    /// A [conversion](super::Sweep::convert) would write to the column that it reads, and encrypt values
    /// twice when it is repeated. Or another sweep has a target column, and would leave it empty.
    #[error("a conversion needs a target column that differs from its source, and other sweeps have none")]
    Target,
    /// The sweep computes index values, but the table has no column for them.
    #[error("the sweep computes index values, but the table has no index column")]
    Index,
}
