//! Commits that the store could neither confirm nor rule out.
//!
//! Every commit writes a new head, whose revision and tag no other commit can have. The head of a
//! later state therefore shows which commit wrote that revision.

use super::index::RecordVersion;
use super::index_cache::KnownHead;
use crate::error::Error;
use crate::store::{CommitError, Revision, StoreError};

/// A commit that may or may not have taken effect, identified by the head that it was to write.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct Ambiguous {
    head: RecordVersion,
    #[source]
    error: Error,
}

/// Identifies a commit whose outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kms) struct CommitMark(RecordVersion);

impl CommitMark {
    /// Returns the revision of the commit if it took effect.
    pub(in crate::kms) const fn revision(self) -> Revision {
        self.0.revision
    }

    /// Returns `true` if the commit is part of the history of a state with this head, `false` if it
    /// is not and cannot be anymore, and `None` if the head does not show it.
    pub(super) fn is_in(self, (head, index): &KnownHead) -> Option<bool> {
        // Before that revision, the commit may still be in progress.
        let behind = head.revision.0.checked_sub(self.revision().0)?;
        let tag = match behind.checked_sub(1) {
            None => &head.tag,
            Some(place) => index.earlier.get(usize::try_from(place).ok()?)?,
        };
        Some(*tag == self.0.tag)
    }
}

/// Returns the commit that may have taken effect despite the error, if there is one.
pub(in crate::kms) fn ambiguous_commit(error: &Error) -> Option<CommitMark> {
    let ambiguous: &Ambiguous = error.cause()?.downcast_ref()?;
    Some(CommitMark(ambiguous.head))
}

/// Returns `true` if a change may have taken effect despite the error.
pub(in crate::kms) fn is_ambiguous(error: &Error) -> bool {
    ambiguous_commit(error).is_some()
}

/// Returns the result of a commit that failed with `error` after all its records were sealed, of
/// which `head` is one. `took_effect` finds out what the store shows of it.
pub(super) fn settle(
    head: RecordVersion,
    error: Error,
    took_effect: impl FnOnce(CommitMark) -> Option<bool>,
) -> Result<Revision, CommitError> {
    match error.downcast_ref() {
        // The file that this process has open may not be the one that remains.
        Some(StoreError::Unconfirmed(_)) => {}
        Some(StoreError::Ambiguous(_)) => match took_effect(CommitMark(head)) {
            Some(true) => return Ok(head.revision),
            Some(false) => {
                let lost = "the connection was lost during a commit, which did not take effect";
                return Err(Error::from(StoreError::Unreachable(lost.into())).into());
            }
            None => {}
        },
        _ => return Err(error.into()),
    }
    let text = error.to_string();
    Err(Error::new(error.kind(), text).with_source(Ambiguous { head, error }).into())
}
