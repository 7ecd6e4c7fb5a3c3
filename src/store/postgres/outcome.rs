//! The outcome of a transaction whose COMMIT was not answered.
//!
//! The server knows whether a transaction with its number is in progress or was aborted. After a
//! crash or a promotion, another transaction may have the number: that it was committed proves
//! nothing. The revision of the store and the records that the transaction wrote do. They count only
//! if the server then proves that it is the primary, because a transaction that is visible on a
//! deposed server may be lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::failure::{reason, text, timed_out};
use super::fence::{self, Proof};
use super::link::Link;
use super::options::Settings;
use super::rows::{self, Names};
use crate::store::error::StoreError;
use crate::store::{Record, RecordId, Revision, StoreId};

/// The pause before the server is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The minimum number of questions before the timeout.
const QUESTIONS: u32 = 4;

/// A transaction that may have been committed.
#[derive(Clone)]
pub(super) struct Attempt {
    /// The server's number of the transaction.
    pub(super) number: u64,
    pub(super) timeline: u32,
    /// The revision that it gave the store.
    pub(super) revision: Revision,
    pub(super) changed: BTreeMap<RecordId, Written>,
}

/// What a transaction wrote in place of a record.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) revision: Revision,
    /// Absent if the record was deleted.
    pub(super) body: Option<Arc<[u8]>>,
}

/// The outcome of a transaction.
#[derive(Debug)]
pub(super) enum Settled {
    /// It took effect. Contains the proof that the server was the primary.
    Committed(Proof),
    /// It did not take effect and cannot anymore.
    NotCommitted,
}

/// What the number of a transaction reveals.
enum Status {
    InProgress,
    Aborted,
    /// A transaction with the number was committed, or the server does not know.
    Unknown,
}

/// What a record reveals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Committed,
    NotCommitted,
    Unknown,
}

/// Asks the current primary about a transaction, repeatedly until `timeout`.
///
/// # Errors
/// - The reason why the outcome is still unknown, as a text.
pub(super) async fn settle(
    settings: &Arc<Settings>,
    store: StoreId,
    attempt: &Attempt,
    timeout: Duration,
) -> Result<Settled, String> {
    let mut obstacle = format!("transaction {} is still in progress", attempt.number);
    let asking = async {
        loop {
            let asked = tokio::time::timeout(timeout / QUESTIONS, ask(settings, store, attempt)).await;
            match asked.unwrap_or_else(|_| Err(timed_out(timeout / QUESTIONS))) {
                Ok(Some(settled)) => return settled,
                Ok(None) => obstacle = format!("transaction {} is still in progress", attempt.number),
                Err(error) => obstacle = text(&error),
            }
            // If the server was deposed, the transaction stays in progress there.
            settings.primary.try_another();
            tokio::time::sleep(PAUSE).await;
        }
    };
    let asked = tokio::time::timeout(timeout, asking).await;
    asked.map_err(|_| obstacle)
}

/// Asks once, with a new connection. Returns `None` if the transaction is still in progress.
async fn ask(settings: &Arc<Settings>, store: StoreId, attempt: &Attempt) -> Result<Option<Settled>, StoreError> {
    let (link, _) = Link::open(settings, Some(store)).await?;
    let mut status = Status::Unknown;
    if link.timeline() == attempt.timeline {
        status = status_of(&link, attempt.number).await?;
    }
    if matches!(status, Status::InProgress) {
        link.close().await;
        return Ok(None);
    }
    // The answer of a server that does not return from this is worthless.
    let proof = fence::prove(&link).await?;
    let verdict = match status {
        Status::Aborted => Verdict::NotCommitted,
        _ if proof.head.revision < attempt.revision => Verdict::NotCommitted,
        _ => compare(&link, attempt).await?,
    };
    link.close().await;
    match verdict {
        Verdict::Committed => Ok(Some(Settled::Committed(proof))),
        Verdict::NotCommitted => Ok(Some(Settled::NotCommitted)),
        Verdict::Unknown => {
            Err(StoreError::Unreachable("later commits have replaced all records of the transaction".into()))
        }
    }
}

/// Asks the server that had the transaction, possibly after a restart.
async fn status_of(link: &Link, number: u64) -> Result<Status, StoreError> {
    let answer = link.client().simple_query(&format!("SELECT pg_xact_status('{number}'::xid8)")).await;
    let rows = match answer {
        Ok(rows) => rows,
        // The number is in the future: the server crashed before any trace of it was stored.
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => return Ok(Status::Aborted),
        Err(error) => return Err(reason(error)),
    };
    let status = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0)),
        _ => None,
    });
    Ok(match status.flatten() {
        Some("aborted") => Status::Aborted,
        Some("in progress") => Status::InProgress,
        _ => Status::Unknown,
    })
}

/// Compares the records of a store that has reached the revision of the transaction.
async fn compare(link: &Link, attempt: &Attempt) -> Result<Verdict, StoreError> {
    let names: Names = attempt.changed.keys().collect();
    let found = rows::get_all(link, &names).await?;
    let verdicts = attempt.changed.values().zip(found).map(|(written, found)| verdict(written, found.as_ref()));
    Ok(verdicts.into_iter().find(|verdict| *verdict != Verdict::Unknown).unwrap_or(Verdict::Unknown))
}

/// Compares one record. The store has reached the revision of the transaction.
fn verdict(Written { revision, body }: &Written, found: Option<&Record>) -> Verdict {
    match found {
        // Revisions never go back, so the record was not written or deleted.
        Some(record) if record.revision < *revision => Verdict::NotCommitted,
        Some(record) if record.revision == *revision => match body.as_ref() == Some(&record.body) {
            true => Verdict::Committed,
            false => Verdict::NotCommitted,
        },
        // Later commits have replaced or deleted it.
        Some(_) | None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_show_whether_a_transaction_took_effect() {
        let record = |revision, body: &[u8]| Record { revision: Revision(revision), body: body.into() };
        let written = Written { revision: Revision(7), body: Some(Arc::from(&b"new"[..])) };
        let deleted = Written { revision: Revision(7), body: None };
        let of = |written, found: Option<Record>| verdict(written, found.as_ref());
        assert_eq!(of(&written, Some(record(7, b"new"))), Verdict::Committed);
        assert_eq!(of(&written, Some(record(7, b"of another commit"))), Verdict::NotCommitted);
        assert_eq!(of(&written, Some(record(6, b"old"))), Verdict::NotCommitted);
        assert_eq!(of(&written, Some(record(8, b"later"))), Verdict::Unknown);
        assert_eq!(of(&written, None), Verdict::Unknown);
        assert_eq!(of(&deleted, None), Verdict::Unknown);
        assert_eq!(of(&deleted, Some(record(6, b"old"))), Verdict::NotCommitted);
        assert_eq!(of(&deleted, Some(record(7, b"of another commit"))), Verdict::NotCommitted);
    }
}
