//! The two halves of a commit, run on the thread of the store while the caller waits.

use std::sync::Arc;
use std::time::Duration;

use super::failure;
use super::options::Settings;
use super::pool::Pool;
use super::runtime::Runtime;
use super::transaction::{self, Failed, Reads, Transaction};
use crate::store::error::StoreError;
use crate::store::{Record, RecordId};

/// Starts and ends transactions.
pub(super) struct Writer {
    runtime: Arc<Runtime>,
    settings: Arc<Settings>,
    pool: Arc<Pool>,
}

impl Writer {
    pub(super) fn new(runtime: Arc<Runtime>, settings: Arc<Settings>, pool: Arc<Pool>) -> Self {
        Self { runtime, settings, pool }
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

    /// Writes the changes and commits.
    pub(super) fn finish(&self, transaction: Transaction) -> Result<(), StoreError> {
        let number = transaction.number();
        let commit = async move { Ok(transaction.commit().await) };
        let failed = match self.runtime.run(self.settings.timeout, commit) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failed)) => failed,
            Err(no_answer) => Failed::Unknown(failure::text(&no_answer).into()),
        };
        Err(match failed {
            Failed::Nothing(error) => error,
            Failed::Unknown(cause) => {
                StoreError::Ambiguous(format!("transaction {number} was not confirmed: {cause}").into())
            }
        })
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
