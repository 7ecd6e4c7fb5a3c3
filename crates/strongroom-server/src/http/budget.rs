//! The memory that requests may use together, whatever the number of connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::limits::Limits;

/// The size of a body that needs no share of the memory for large bodies. Most requests are smaller.
const SMALL_BODY: usize = 16 << 10;

/// The requests and the memory that are free.
#[derive(Debug)]
pub(super) struct Budget {
    requests: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
}

/// A request and the memory of its body, free again when dropped.
#[derive(Debug)]
pub(super) struct Share {
    large_bodies: Arc<Semaphore>,
    /// The size for which memory is reserved.
    reserved: usize,
    memory: Option<OwnedSemaphorePermit>,
    _request: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { requests: semaphore(limits.requests), large_bodies: semaphore(limits.large_bodies_bytes) }
    }

    /// Returns the share of a new request, or `None` if there are too many.
    pub(super) fn request(&self) -> Option<Share> {
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        Some(Share {
            large_bodies: Arc::clone(&self.large_bodies),
            reserved: SMALL_BODY,
            memory: None,
            _request: request,
        })
    }
}

impl Share {
    /// Reserves memory for a body of this size. Returns `false` if there is none.
    pub(super) fn reserve(&mut self, size: usize) -> bool {
        let Some(more) = size.checked_sub(self.reserved).filter(|more| *more > 0) else { return true };
        let permit =
            u32::try_from(more).ok().and_then(|more| Arc::clone(&self.large_bodies).try_acquire_many_owned(more).ok());
        let Some(permit) = permit else { return false };
        match &mut self.memory {
            Some(memory) => memory.merge(permit),
            None => self.memory = Some(permit),
        }
        self.reserved = size;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_are_free_and_large_ones_share_the_memory() {
        let limits = Limits { requests: 3, large_bodies_bytes: 1_000, ..Limits::default() };
        let budget = Budget::new(&limits);
        let (mut one, mut two) = (budget.request().unwrap(), budget.request().unwrap());
        assert!(one.reserve(SMALL_BODY) && two.reserve(SMALL_BODY));
        assert!(one.reserve(SMALL_BODY + 400) && one.reserve(SMALL_BODY + 600));
        assert!(!two.reserve(SMALL_BODY + 401) && two.reserve(SMALL_BODY + 400));
        drop(one);
        assert!(two.reserve(SMALL_BODY + 1_000) && !two.reserve(SMALL_BODY + 1_001));
    }

    #[test]
    fn the_number_of_requests_is_limited() {
        let budget = Budget::new(&Limits { requests: 1, ..Limits::default() });
        let share = budget.request().unwrap();
        assert!(budget.request().is_none());
        drop(share);
        assert!(budget.request().is_some());
    }
}
