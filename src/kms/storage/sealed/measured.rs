//! Measurement of commits.

use crate::metrics::{FAILURE, Metric, Metrics, SUCCESS};
use crate::span::StepSpan;
use crate::store::{CommitError, Expectation, KeyStore, RecordId, Revision, WriteChanges};

/// Commits to a store, and measures the attempt. `prefetch` names the records that `changes` will
/// read.
pub(super) fn commit_measured(
    metrics: &Metrics,
    store: &dyn KeyStore,
    expected: &[Expectation],
    prefetch: &[RecordId],
    changes: &mut WriteChanges<'_>,
) -> Result<Revision, CommitError> {
    let _span = StepSpan::store_commit();
    let started = metrics.start();
    let committed = store.commit_prefetching(expected, prefetch, changes);
    metrics.record_since(Metric::StoreCommitDuration, &[], started);
    let result = match &committed {
        Ok(_) => SUCCESS,
        Err(CommitError::Conflict(_)) => "conflict",
        Err(CommitError::Failed(_)) => FAILURE,
    };
    metrics.count_result(Metric::StoreCommits, result);
    committed
}
