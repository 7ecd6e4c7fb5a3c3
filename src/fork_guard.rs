//! Detection of `fork`: records the process in which a value was created.
//!
//! A child of `fork` receives a copy of all memory. Some values may be used only once, such as
//! reserved numbers, prepared keys, and the end of an audit chain. They would be used twice unless
//! each process detects that it did not create them. Libraries with state outside this memory
//! (PKCS#11, SQLite) must not be used in a child at all.
//!
//! Asking the kernel for the process ID takes as much as a tenth of the time of a fast call.
//! Instead, the C library runs a handler in each child of `fork`. A process created by the bare
//! `clone` system call, bypassing the C library, is not detected. The C library itself does not
//! work in such a process.

/// The process in which this value was created.
#[derive(Debug)]
pub(crate) struct ForkGuard(forkguard::Guard);

impl ForkGuard {
    /// Returns a guard for the calling process.
    pub(crate) fn here() -> Self {
        Self(forkguard::new())
    }

    /// Returns `true` if the guard was created in the calling process.
    pub(crate) fn is_here(&self) -> bool {
        // Checks a clone, because a guard reports a fork only once.
        !self.0.clone().detected_fork()
    }
}

impl Default for ForkGuard {
    fn default() -> Self {
        Self::here()
    }
}
