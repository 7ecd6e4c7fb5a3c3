//! The two halves of a commit, run on the thread of the store while the caller waits.

use std::sync::Arc;
use std::time::Duration;

use super::failure;
use super::freshness::Freshness;
use super::options::Settings;
use super::outcome::{self, Attempt, Settled};
use super::pool::Pool;
use super::runtime::Runtime;
use super::transaction::{self, Failed, Reads, Transaction};
use crate::store::error::StoreError;
use crate::store::{Record, RecordId, StoreId};

/// Starts and ends transactions.
pub(super) struct Writer {
    runtime: Arc<Runtime>,
    settings: Arc<Settings>,
    pool: Arc<Pool>,
    store: StoreId,
    freshness: Arc<Freshness>,
}

impl Writer {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        settings: Arc<Settings>,
        pool: Arc<Pool>,
        store: StoreId,
        freshness: Arc<Freshness>,
    ) -> Self {
        Self { runtime, settings, pool, store, freshness }
    }

    /// Returns the time that each half may take.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Waits for the lock of the store and reads what the commits need.
    pub(super) fn begin(&self, reads: Reads) -> Result<Transaction, StoreError> {
        let (pool, settings) = (Arc::clone(&self.pool), Arc::clone(&self.settings));
        let begin = async move { transaction::begin(&pool, &settings, &reads).await };
        self.runtime.run(self.settings.timeout, begin)
    }

    /// Reads a record in a transaction.
    pub(super) fn read(&self, transaction: &Transaction, id: &RecordId) -> Result<Option<Record>, StoreError> {
        self.runtime.run(self.settings.timeout, transaction.read(id))
    }

    /// Writes the changes and commits. If the server does not answer, asks it again for as long, or
    /// its successor.
    pub(super) fn finish(&self, transaction: Transaction) -> Result<(), StoreError> {
        let attempt = transaction.attempt();
        let commit = async move { Ok(transaction.commit().await) };
        let failed = match self.runtime.run(self.settings.timeout, commit) {
            Ok(Ok(head)) => {
                self.freshness.note(head);
                return Ok(());
            }
            Ok(Err(failed)) => failed,
            Err(no_answer) => Failed::Unknown(failure::text(&no_answer).into()),
        };
        match failed {
            Failed::Nothing(error) => Err(error),
            Failed::Unknown(cause) => self.settle(attempt, &cause.to_string()),
        }
    }

    /// Finds out whether a transaction took effect.
    fn settle(&self, attempt: Attempt, cause: &str) -> Result<(), StoreError> {
        let (settings, store, timeout) = (Arc::clone(&self.settings), self.store, self.settings.timeout);
        let known = self.freshness.latest();
        let settle = async move { Ok(outcome::settle(&settings, store, &attempt, timeout).await) };
        // Longer, so that the error states the obstacle.
        let settled = self.runtime.run(timeout.saturating_mul(2), settle);
        match settled.unwrap_or_else(|no_answer| Err(failure::text(&no_answer))) {
            Ok(Settled::Committed(proof)) => {
                self.freshness.accept(known, proof);
                Ok(())
            }
            Ok(Settled::NotCommitted) => {
                let text = format!("{cause}; the commit did not take effect");
                Err(StoreError::Unreachable(text.into()))
            }
            Err(obstacle) => Err(StoreError::Ambiguous(format!("{cause}; {obstacle}").into())),
        }
    }

    /// Rolls back without waiting for it. The lock is held until then.
    pub(super) fn roll_back(&self, transaction: Transaction) {
        let timeout = self.settings.timeout;
        self.runtime.spawn(async move {
            // After the timeout, the connection is closed, which has the same effect.
            let _ = tokio::time::timeout(timeout, transaction.roll_back()).await;
        });
    }
}
