//! The index of a store compared with an anchor outside.

use std::sync::Arc;

use super::index::{Head, Mark, REMEMBERED_HEADS, Tag};
use crate::error::{Error, ErrorKind, Result};
use crate::seal::IdentityKey;
use crate::store::{Anchor, AnchorPoint, Revision, StoreId};

/// What follows from a commit that happened could not be done: the source of an error that does not mean that nothing was
/// changed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Committed(Error);

/// Whether what was asked for was committed, although there is an error.
pub(in crate::kms) fn is_committed(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Committed>)
}

/// The error of a step for which something had to be committed first: that was, and the step was not taken.
pub(in crate::kms) fn only_prepared(error: Error) -> Error {
    if !is_committed(&error) {
        return error;
    }
    let text = "the anchor of the store could not be moved after a preparation, so nothing else was done";
    Error::new(error.kind(), text).with_source(error)
}

/// The anchor of a store, if it has one.
pub(super) struct Witness {
    store: StoreId,
    anchor: Option<Arc<dyn Anchor>>,
}

impl Witness {
    pub(super) const fn new(store: StoreId, anchor: Option<Arc<dyn Anchor>>) -> Self {
        Self { store, anchor }
    }

    /// Where the anchor is.
    pub(super) fn last(&self) -> Result<Option<AnchorPoint>> {
        self.anchor.as_ref().map_or(Ok(None), Anchor::last)
    }

    /// Makes sure that the state of the store with this head is the one that the anchor was at, or comes after it.
    pub(super) fn check(
        &self,
        identity: &IdentityKey,
        last: Option<AnchorPoint>,
        mark: Mark,
        head: &Head,
    ) -> Result<()> {
        let Some(last) = last else { return Ok(()) };
        if last.store != self.store {
            return Err(refused("it belongs to another store".to_owned()));
        }
        let Some(behind) = mark.revision.0.checked_sub(last.revision.0) else {
            let text = format!("the store went back from revision {} to {}", last.revision.0, mark.revision.0);
            return Err(refused(text));
        };
        let tag = match usize::try_from(behind).ok().and_then(|behind| behind.checked_sub(1)) {
            None => Some(&mark.tag),
            Some(place) => head.earlier.get(place),
        };
        let Some(tag) = tag else {
            let text = format!("the store was changed without it, more than {REMEMBERED_HEADS} times");
            return Err(refused(text));
        };
        if self.digest(identity, last.revision, tag) != last.digest {
            let text = format!("the store has another history since revision {} or before", last.revision.0);
            return Err(refused(text));
        }
        Ok(())
    }

    /// Moves the anchor to the state with this head.
    pub(super) fn advance(&self, identity: &IdentityKey, mark: Mark) -> Result<()> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        let digest = self.digest(identity, mark.revision, &mark.tag);
        anchor.advance(&AnchorPoint { store: self.store, revision: mark.revision, digest }).map_err(|error| {
            let text =
                format!("what was committed is on the disk, but the anchor of the store could not be moved: {error}");
            Error::new(ErrorKind::Store, text).with_source(Committed(error))
        })
    }

    fn digest(&self, identity: &IdentityKey, revision: Revision, tag: &Tag) -> [u8; 32] {
        identity.identify(&[b"anchor", &self.store.0, &revision.0.to_be_bytes(), tag])
    }
}

fn refused(what: String) -> Error {
    Error::new(ErrorKind::Integrity, format!("the store does not fit its anchor: {what}"))
}
