//! Measurement of commits.

use crate::metrics::{FAILURE, Metric, Metrics, SUCCESS};
use crate::span::StepSpan;
use crate::store::{CommitError, Expectation, KeyStore, Revision, WriteChanges};

/// Commits to a store, and measures the attempt.
pub(super) fn commit_measured(
    metrics: &Metrics,
    store: &dyn KeyStore,
    expected: &[Expectation],
    changes: &mut WriteChanges<'_>,
) -> Result<Revision, CommitError> {
    let _span = StepSpan::store_commit();
    let started = metrics.start();
    let committed = store.commit(expected, changes);
    metrics.record_since(Metric::StoreCommitDuration, &[], started);
    let result = match &committed {
        Ok(_) => SUCCESS,
        Err(CommitError::Conflict(_)) => "conflict",
        Err(CommitError::Failed(_)) => FAILURE,
    };
    metrics.count_result(Metric::StoreCommits, result);
    committed
}
