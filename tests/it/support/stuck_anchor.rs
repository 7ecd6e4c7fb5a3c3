//! An anchor on a full disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use strongroom::store::{Anchor, AnchorPoint, MemoryAnchor};
use strongroom::{Error, ErrorKind, Result};

/// An anchor that can be moved only a limited number of times.
#[derive(Debug)]
pub(crate) struct StuckAnchor {
    anchor: MemoryAnchor,
    moves: AtomicU32,
}

impl StuckAnchor {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { anchor: MemoryAnchor::default(), moves: AtomicU32::new(u32::MAX) })
    }

    pub(crate) fn stop_after(&self, moves: u32) {
        self.moves.store(moves, Ordering::SeqCst);
    }
}

impl Anchor for StuckAnchor {
    fn last(&self) -> Result<Option<AnchorPoint>> {
        self.anchor.last()
    }

    fn advance(&self, point: &AnchorPoint) -> Result<()> {
        let one_less = |moves: u32| moves.checked_sub(1);
        self.moves
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .map_err(|_| Error::new(ErrorKind::Store, "the other disk is full"))?;
        self.anchor.advance(point)
    }
}
