//! Small numbers for threads, so that what each of them writes often lies apart from what others write.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many parts a sharded structure has: more than the threads that usually run at once on one machine's cores would
/// only cost memory.
pub(crate) const SHARDS: usize = 8;

/// The shard of the calling thread. They are dealt out in turn, so that threads started together get different ones.
pub(crate) fn of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

/// A value on cache lines of its own: two neighbours never slow each other down.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Apart<T>(pub(crate) T);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_shard_and_neighbours_differ() {
        let here = of_this_thread();
        assert_eq!(here, of_this_thread());
        let both = std::thread::scope(|scope| {
            [scope.spawn(of_this_thread), scope.spawn(of_this_thread)].map(|thread| thread.join().expect("no panic"))
        });
        assert!(both.iter().all(|shard| *shard < SHARDS));
    }

    #[test]
    fn values_apart_share_no_cache_line() {
        assert_eq!(size_of::<[Apart<u8>; 2]>(), 128);
    }
}
