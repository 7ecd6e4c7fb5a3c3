//! Compares the index of a store with an external anchor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ambiguous::is_ambiguous;
use super::index::{IndexRoot, REMEMBERED_HEADS, RecordVersion, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::seal::IdentityKey;
use crate::store::{Anchor, AnchorPoint, Revision, StoreId};

/// Maximum number of commits that the anchor may be behind before it must be moved ahead of the
/// next commit. This is half the number of heads that a head remembers, so that a store never gets
/// so far ahead of its anchor that it appears altered.
const MAX_BEHIND: u64 = 32;

/// A failure in a step after a successful commit. As the source of an error, it indicates that the
/// change took effect.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Committed(Error);

/// Returns `true` if the change was committed despite the error.
pub(in crate::kms) fn is_committed(error: &Error) -> bool {
    error.cause().is_some_and(<dyn std::error::Error>::is::<Committed>)
}

/// Returns the error of a step that was not performed because an error followed its preparatory
/// commit.
pub(in crate::kms) fn only_prepared(error: Error) -> Error {
    if is_ambiguous(&error) {
        let text = "the store did not confirm a preparatory commit, so nothing else was changed: try again";
        return Error::new(error.kind(), text).with_source(error);
    }
    if !is_committed(&error) {
        return error;
    }
    let text = "the anchor of the store could not be moved after a preparatory commit, so nothing else was changed";
    Error::new(error.kind(), text).with_source(error)
}

/// The anchor of a store, if it has one.
pub(super) struct AnchorCheck {
    store: StoreId,
    anchor: Option<Arc<dyn Anchor>>,
    /// Set once the anchor is known to have a point.
    has_point: AtomicBool,
}

impl AnchorCheck {
    pub(super) const fn new(store: StoreId, anchor: Option<Arc<dyn Anchor>>) -> Self {
        Self { store, anchor, has_point: AtomicBool::new(false) }
    }

    /// Returns the current point of the anchor. An anchor that had a point and no longer has one
    /// was removed.
    pub(super) fn last(&self) -> Result<Option<AnchorPoint>> {
        let Some(anchor) = &self.anchor else { return Ok(None) };
        let last = anchor.last()?;
        if last.is_some() {
            self.has_point.store(true, Ordering::Relaxed);
        } else if self.has_point.load(Ordering::Relaxed) {
            return Err(refused(
                "the anchor was removed while it was in use; open the store again to create a new one".to_owned(),
            ));
        }
        Ok(last)
    }

    /// Checks the state of the store within a commit, immediately before it, and moves an anchor
    /// that is far behind.
    ///
    /// # Errors
    /// - [`Store`](ErrorKind::Store) if such an anchor cannot be moved. If this were allowed,
    ///   failures to move the anchor, and processes killed before they move it, would accumulate
    ///   until the store appears altered.
    pub(super) fn follow(&self, identity: &IdentityKey, mark: RecordVersion, head: &IndexRoot) -> Result<()> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        let last = self.last()?;
        self.check(identity, last, mark, head)?;
        let behind = last.map_or(0, |last| mark.revision.0.saturating_sub(last.revision.0));
        if behind < MAX_BEHIND {
            return Ok(());
        }
        anchor.advance(&self.point(identity, mark)).map_err(|error| {
            let text = format!(
                "the anchor of the store is {behind} commits behind and could not be moved; nothing was changed: \
                 {error}"
            );
            Error::new(ErrorKind::Store, text).with_source(error)
        })
    }

    /// Checks that the store state with this head is the state at the anchor's point, or a later
    /// one.
    pub(super) fn check(
        &self,
        identity: &IdentityKey,
        last: Option<AnchorPoint>,
        mark: RecordVersion,
        head: &IndexRoot,
    ) -> Result<()> {
        let Some(last) = last else { return Ok(()) };
        if last.store != self.store {
            return Err(refused("the anchor belongs to another store".to_owned()));
        }
        let Some(behind) = mark.revision.0.checked_sub(last.revision.0) else {
            let text = format!("the store was rolled back from revision {} to {}", last.revision.0, mark.revision.0);
            return Err(refused(text));
        };
        let tag = match usize::try_from(behind).ok().and_then(|behind| behind.checked_sub(1)) {
            None => Some(&mark.tag),
            Some(place) => head.earlier.get(place),
        };
        let Some(tag) = tag else {
            let text = format!(
                "the store was changed more than {REMEMBERED_HEADS} times without moving the anchor, which every \
                 process must use, on every machine"
            );
            return Err(refused(text));
        };
        if self.digest(identity, last.revision, tag) != last.digest {
            let text = format!("the history of the store differs since revision {} or earlier", last.revision.0);
            return Err(refused(text));
        }
        Ok(())
    }

    /// Moves the anchor to the state with this head.
    pub(super) fn advance(&self, identity: &IdentityKey, mark: RecordVersion) -> Result<()> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        anchor.advance(&self.point(identity, mark)).map_err(|error| {
            let text = format!("the change was committed, but the anchor of the store could not be moved: {error}");
            Error::new(ErrorKind::Store, text).with_source(Committed(error))
        })?;
        self.has_point.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn point(&self, identity: &IdentityKey, mark: RecordVersion) -> AnchorPoint {
        let digest = self.digest(identity, mark.revision, &mark.tag);
        AnchorPoint { store: self.store, revision: mark.revision, digest }
    }

    fn digest(&self, identity: &IdentityKey, revision: Revision, tag: &Tag) -> [u8; 32] {
        identity.identify(&[b"anchor", &self.store.0, &revision.0.to_be_bytes(), tag])
    }
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::Integrity, format!("the store does not match its anchor: {what}"))
}
