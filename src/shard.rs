//! Per-thread shard indices, used to keep frequently written values on separate cache lines.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of shards of a sharded structure. More than the number of threads that usually run
/// concurrently on one machine would only use more memory.
pub(crate) const SHARDS: usize = 8;

/// Returns the shard of the calling thread. Shards are assigned in turn, so that threads started together
/// get different ones.
pub(crate) fn shard_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

/// A value that shares no cache line with others, so that writes to it do not slow down readers of
/// other values.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct CachePadded<T>(pub(crate) T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_shard_and_neighbours_differ() {
        let here = shard_index();
        assert_eq!(here, shard_index());
        let both = std::thread::scope(|scope| {
            [scope.spawn(shard_index), scope.spawn(shard_index)]
                .map(|thread| thread.join().expect("no thread panicked"))
        });
        assert!(both.iter().all(|shard| *shard < SHARDS));
    }

    #[test]
    fn padded_values_share_no_cache_line() {
        assert_eq!(size_of::<[CachePadded<u8>; 2]>(), 128);
    }
}
