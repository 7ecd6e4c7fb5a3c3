//! Code that the tests of strongroom need and the crate itself must not contain: unsafe code.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

/// Length of [`MARKER`].
pub const MARKER_LENGTH: usize = 32;

/// Bytes that a test uses as its secret, and that [`Witness`] searches for in freed memory.
pub const MARKER: [u8; MARKER_LENGTH] = *b"\x9d\x13marker of a secret, 32 bytes.\xfe";

/// Maximum number of secrets that a [`Witness`] watches at a time, in addition to [`MARKER`].
pub const MOST_WATCHED: usize = 32;

/// A secret as words, which an allocator can read without a lock.
type Words = [AtomicU64; MARKER_LENGTH / 8];

/// The system allocator, which also counts bytes and inspects freed memory.
#[derive(Debug)]
pub struct Witness {
    live: AtomicUsize,
    peak: AtomicUsize,
    unwiped: AtomicUsize,
    watched: [Words; MOST_WATCHED],
    watching: AtomicUsize,
}

impl Witness {
    /// Creates an allocator with all counters at zero.
    #[allow(clippy::new_without_default, reason = "a global allocator is created in a constant")]
    pub const fn new() -> Self {
        Self {
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            unwiped: AtomicUsize::new(0),
            watched: [const { [const { AtomicU64::new(0) }; MARKER_LENGTH / 8] }; MOST_WATCHED],
            watching: AtomicUsize::new(0),
        }
    }

    /// Also searches for these bytes from now on, and no longer for those of the last call.
    ///
    /// # Panics
    /// Panics if there are more than [`MOST_WATCHED`] secrets.
    pub fn watch(&self, secrets: &[[u8; MARKER_LENGTH]]) {
        assert!(secrets.len() <= MOST_WATCHED, "{} secrets", secrets.len());
        self.watching.store(0, SeqCst);
        for (words, secret) in self.watched.iter().zip(secrets) {
            for (word, bytes) in words.iter().zip(secret.chunks_exact(8)) {
                word.store(u64::from_ne_bytes(bytes.try_into().expect("eight bytes")), SeqCst);
            }
        }
        self.watching.store(secrets.len(), SeqCst);
    }

    /// Runs `work` and returns the peak of memory in use, in bytes above the start.
    pub fn peak_above_start<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let start = self.live.load(SeqCst);
        self.peak.store(start, SeqCst);
        let result = work();
        (result, self.peak.load(SeqCst) - start)
    }

    /// Runs `work` and returns the number of blocks that were freed with the marker still in them.
    pub fn unwiped_in<T>(&self, work: impl FnOnce() -> T) -> (T, usize) {
        let start = self.unwiped.load(SeqCst);
        let result = work();
        (result, self.unwiped.load(SeqCst) - start)
    }

    fn grew(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, SeqCst) + bytes;
        self.peak.fetch_max(live, SeqCst);
    }

    /// # Safety
    /// `block` must be valid for reads of `layout.size()` bytes.
    unsafe fn inspect(&self, block: *const u8, layout: Layout) {
        // Bytes that were never written are read too. The reads are volatile, so that nothing is
        // assumed about them.
        let byte = |at: usize| unsafe { block.add(at).read_volatile() };
        let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|index| byte(at + index)));
        let watched = &self.watched[..self.watching.load(SeqCst)];
        for start in 0..layout.size().saturating_sub(MARKER_LENGTH - 1) {
            let is_there = |words: &Words| {
                words.iter().enumerate().all(|(index, expected)| word(start + 8 * index) == expected.load(SeqCst))
            };
            let is_marker = (0..MARKER_LENGTH).all(|at| byte(start + at) == MARKER[at]);
            if is_marker || watched.iter().any(is_there) {
                self.unwiped.fetch_add(1, SeqCst);
                return;
            }
        }
    }
}

// SAFETY: Every call is forwarded to the system allocator with unchanged arguments.
unsafe impl GlobalAlloc for Witness {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.grew(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.live.fetch_sub(layout.size(), SeqCst);
        unsafe {
            self.inspect(block, layout);
            System.dealloc(block, layout);
        }
    }

    // `realloc` keeps its default, which allocates, copies and frees through the two functions
    // above. So a growing vector that leaves a secret behind is detected.
}
