//! The process in which something was made.
//!
//! A child of `fork` gets a copy of all memory, so whatever may be used once is used twice, unless each process sees that it
//! is not the one that made it: reserved numbers, prepared keys, the end of an audit chain. What belongs to a library with
//! state outside of this memory (PKCS#11, SQLite) must not be used in a child at all. To ask the kernel costs as much as a
//! tenth of a fast call, so the C library tells: it runs a handler in each child of `fork`. A process that was made by the bare
//! `clone` system call, behind the back of the C library, is not noticed; the C library itself does not work in one.

/// The process in which this was made.
#[derive(Debug)]
pub(crate) struct ForkGuard(forkguard::Guard);

impl ForkGuard {
    /// The process that calls.
    pub(crate) fn here() -> Self {
        Self(forkguard::new())
    }

    /// Whether it is the process that calls.
    pub(crate) fn is_here(&self) -> bool {
        // The guard itself stays as it is: it would tell of a fork only once.
        !self.0.clone().detected_fork()
    }
}

impl Default for ForkGuard {
    fn default() -> Self {
        Self::here()
    }
}
