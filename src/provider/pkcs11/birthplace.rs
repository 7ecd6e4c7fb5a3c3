//! The process in which something was made.
//!
//! What belongs to a PKCS#11 library is worth nothing in a child that was forked (PKCS#11 v3.1, section 5.4:
//! `C_Initialize`): every call asks whether this is still the process that its session was opened in. To ask the kernel
//! costs as much as a tenth of a fast call, so the C library tells: it runs a handler in each child of `fork`. A process
//! that was made by the bare `clone` system call, behind the back of the C library, is not noticed; the C library itself
//! does not work in one.

/// The process in which this was made.
#[derive(Debug)]
pub(super) struct Birthplace(forkguard::Guard);

impl Birthplace {
    /// The process that calls.
    pub(super) fn here() -> Self {
        Self(forkguard::new())
    }

    /// Whether it is the process that calls.
    pub(super) fn is_here(&self) -> bool {
        // The guard itself stays as it is: it would tell of a fork only once.
        !self.0.clone().detected_fork()
    }
}
