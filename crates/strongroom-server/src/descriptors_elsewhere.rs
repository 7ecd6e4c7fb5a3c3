//! File descriptors on other platforms, which do not limit them for each process.

/// Does nothing.
pub(crate) fn raise_limit() {}

/// Returns `None`: there is no limit.
pub(crate) fn limit() -> Option<u64> {
    None
}
